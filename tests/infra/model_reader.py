"""Write models.json: the properties of every resource type that `infra/` uses, from Microsoft's Python SDKs.

Run `make models` after changing a resource type or a version in models-requirements.txt. The SDKs take
a hundred megabytes, the file a few dozen kilobytes; so the gate reads the file. Models follow the SDK's
API version, which is not always the one that the template pins.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import json
import types
import typing
from pathlib import Path
from typing import Any

MODELS = Path(__file__).with_name("models.json")

#: Resource type → SDK module and model class.
SOURCES = {
    "Microsoft.Authorization/roleAssignments": ("authorization", "RoleAssignmentCreateParameters"),
    "Microsoft.Consumption/budgets": ("consumption", "Budget"),
    "Microsoft.Insights/actionGroups": ("monitor.v2023_01_01", "ActionGroupResource"),
    "Microsoft.Insights/components": ("applicationinsights", "ApplicationInsightsComponent"),
    "Microsoft.Insights/diagnosticSettings": ("monitor.v2021_05_01_preview", "DiagnosticSettingsResource"),
    "Microsoft.Insights/scheduledQueryRules": ("monitor.v2022_08_01_preview", "ScheduledQueryRuleResource"),
    "Microsoft.Insights/workbooks": ("applicationinsights", "Workbook"),
    "Microsoft.KeyVault/vaults": ("keyvault", "VaultCreateOrUpdateParameters"),
    "Microsoft.ManagedIdentity/userAssignedIdentities": ("msi", "Identity"),
    "Microsoft.Network/privateDnsZones": ("privatedns", "PrivateZone"),
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": ("privatedns", "VirtualNetworkLink"),
    "Microsoft.Network/privateEndpoints": ("network", "PrivateEndpoint"),
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": ("network", "PrivateDnsZoneGroup"),
    "Microsoft.Network/virtualNetworks": ("network", "VirtualNetwork"),
    "Microsoft.OperationalInsights/workspaces": ("loganalytics", "Workspace"),
    "Microsoft.Resources/resourceGroups": ("resource.resources", "ResourceGroup"),
    "Microsoft.Storage/storageAccounts": ("storage", "StorageAccountCreateParameters"),
    "Microsoft.Storage/storageAccounts/blobServices": ("storage", "BlobServiceProperties"),
    "Microsoft.Storage/storageAccounts/blobServices/containers": ("storage", "BlobContainer"),
    "Microsoft.Storage/storageAccounts/managementPolicies": ("storage", "ManagementPolicy"),
    "Microsoft.Storage/storageAccounts/queueServices": ("storage", "QueueServiceProperties"),
    "Microsoft.Storage/storageAccounts/queueServices/queues": ("storage", "StorageQueue"),
    "Microsoft.Storage/storageAccounts/tableServices": ("storage", "TableServiceProperties"),
    "Microsoft.Storage/storageAccounts/tableServices/tables": ("storage", "Table"),
    "Microsoft.Web/serverfarms": ("web", "AppServicePlan"),
    "Microsoft.Web/sites": ("web", "Site"),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": (
        "web",
        "CsmPublishingCredentialsPoliciesEntity",
    ),
    "Microsoft.Web/sites/config": ("web", "StringDictionary"),
}

#: Beside the fields of a model: the names of those that must be given.
REQUIRED = "!"

type Fields = dict[str, Any]


class ModelReader:
    """Collect the models that a class reaches, each once."""

    def __init__(self) -> None:
        self.models: dict[str, Fields] = {}

    def read(self, sdk: str, class_name: str) -> str:
        """Read one class and what it refers to; return the name that it gets."""
        name = f"{sdk}.{class_name}"
        if name not in self.models:
            self.models[name] = {}
            module = importlib.import_module(f"azure.mgmt.{sdk}.models")
            self.models[name] = self._fields(sdk, getattr(module, class_name))
        return name

    def _fields(self, sdk: str, model: Any) -> Fields:
        if hasattr(model, "_attribute_map"):
            return self._mapped_fields(sdk, model)
        model.__new__(model)  # Field names are worked out when the first object is made.
        annotations: dict[str, Any] = {}
        for base in reversed(model.__mro__):
            annotations.update(inspect.get_annotations(base))
        fields: Fields = {}
        for attribute, field in sorted(model._attr_to_rest_field.items()):
            if field._visibility != ["read"] or field._rest_name in {"id", "name"}:
                fields[field._rest_name] = self._annotated(sdk, annotations[attribute])
                if type(None) not in typing.get_args(annotations[attribute]) and field._visibility != [
                    "read"
                ]:
                    fields.setdefault(REQUIRED, []).append(field._rest_name)
        return fields

    def _mapped_fields(self, sdk: str, model: Any) -> Fields:
        fields: Fields = {}
        for attribute, entry in sorted(model._attribute_map.items()):
            read_only = model._validation.get(attribute, {}).get("readonly")
            if read_only and attribute not in {"id", "name"}:
                continue
            *parents, last = entry["key"].replace("\\.", "\0").split(".")
            target = fields
            for parent in parents:
                target = target.setdefault(parent, {})
            name = last.replace("\0", ".")
            target[name] = self._named(sdk, entry["type"])
            if model._validation.get(attribute, {}).get("required"):
                target.setdefault(REQUIRED, []).append(name)
        return fields

    def _named(self, sdk: str, name: str) -> Any:
        """Translate msrest's names: [x] is a list, {x} a dictionary."""
        if name[0] in "[{":
            return [self._named(sdk, name[1:-1])] if name[0] == "[" else {"*": self._named(sdk, name[1:-1])}
        plain = {"str": "string", "bool": "bool", "int": "int", "long": "int", "float": "int"}
        if name in plain:
            return plain[name]
        module = importlib.import_module(f"azure.mgmt.{sdk}.models")
        found = getattr(module, name, None)
        if found is None:
            return "string" if name in {"duration", "iso-8601"} else "any"
        return self._referred(sdk, found)

    def _annotated(self, sdk: str, annotation: Any) -> Any:
        """Translate type annotations, which name models as forward references."""
        if isinstance(annotation, typing.ForwardRef):
            annotation = annotation.__forward_arg__
        if isinstance(annotation, str):
            module = importlib.import_module(f"azure.mgmt.{sdk}.models")
            return self._referred(sdk, getattr(module, annotation.removeprefix("_models.")))
        arguments = typing.get_args(annotation)
        origin = typing.get_origin(annotation)
        if origin is list:
            return [self._annotated(sdk, arguments[0])]
        if origin is dict:
            return {"*": self._annotated(sdk, arguments[1])}
        if origin in {typing.Union, types.UnionType}:
            options = [item for item in arguments if item is not type(None)]
            return self._annotated(sdk, options[-1])  # A string or an enumeration: the latter says more.
        names = {"str": "string", "bool": "bool", "int": "int", "float": "int", "Decimal": "int"}
        return names.get(getattr(annotation, "__name__", ""), "any")

    def _referred(self, sdk: str, found: Any) -> Any:
        if isinstance(found, type) and issubclass(found, enum.Enum):
            return {"=": sorted(member.value for member in found)}
        return f"-> {self.read(sdk, found.__name__)}"


def main() -> None:
    """Read every model and write the file."""
    reader = ModelReader()
    resources = {kind: reader.read(*source) for kind, source in sorted(SOURCES.items())}
    text = json.dumps(
        {"resources": resources, "models": reader.models}, separators=(",", ":"), sort_keys=True
    )
    # One model a line, so that a change shows as one.
    MODELS.write_text(text.replace('},"', '},\n"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
