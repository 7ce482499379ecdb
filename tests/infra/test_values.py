"""Allowed values of lists that the compiler leaves open.

Most lists of Azure's newer types are open (`'A' | string`), and Microsoft Graph's types mark few properties
as required, so a misspelt value compiles and fails during a deployment. The lists are those of
https://learn.microsoft.com/azure/templates and https://learn.microsoft.com/graph/templates/bicep/reference.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.changes import file, predicted, template

if TYPE_CHECKING:
    from tests.infra.project import Project

FILTERS = "properties.policy.rules.definition.filters"
NOTICES = "properties.notifications.*"
CONDITIONS = "properties.criteria.allOf"

#: Accepted values by type and path; a path goes through the items of arrays, and * through all properties.
ACCEPTED: dict[str, dict[str, set[str]]] = {
    "Microsoft.Authorization/roleAssignments": {
        "properties.principalType": {"ServicePrincipal", "User", "Group"}
    },
    "Microsoft.Consumption/budgets": {
        "properties.category": {"Cost"},
        "properties.timeGrain": {"Monthly", "Quarterly", "Annually"},
        f"{NOTICES}.operator": {"EqualTo", "GreaterThan", "GreaterThanOrEqualTo"},
        f"{NOTICES}.thresholdType": {"Actual", "Forecasted"},
    },
    "Microsoft.Graph/applications": {
        "properties.signInAudience": {"AzureADMyOrg", "AzureADMultipleOrgs"},
        "properties.owners.relationshipSemantics": {"append", "replace"},
        "properties.api.oauth2PermissionScopes.type": {"User", "Admin"},
        "properties.appRoles.allowedMemberTypes": {"User", "Application"},
        "properties.requiredResourceAccess.resourceAccess.type": {"Scope", "Role"},
    },
    "Microsoft.Graph/servicePrincipals": {"properties.owners.relationshipSemantics": {"append", "replace"}},
    "Microsoft.Insights/components": {
        "properties.Application_Type": {"web", "other"},
        "properties.IngestionMode": {"LogAnalytics"},
    },
    "Microsoft.Insights/diagnosticSettings": {
        "properties.logs.category": {"StorageRead", "StorageWrite", "StorageDelete"},
        "properties.logs.categoryGroup": {"audit", "allLogs"},
    },
    "Microsoft.Insights/scheduledQueryRules": {
        f"{CONDITIONS}.operator": {
            "Equals",
            "GreaterThan",
            "GreaterThanOrEqual",
            "LessThan",
            "LessThanOrEqual",
        },
        f"{CONDITIONS}.timeAggregation": {"Average", "Count", "Maximum", "Minimum", "Total"},
    },
    "Microsoft.Insights/webtests": {"properties.Kind": {"standard"}, "properties.Request.HttpVerb": {"GET"}},
    "Microsoft.Insights/workbooks": {"kind": {"shared"}},
    "Microsoft.KeyVault/vaults": {
        "properties.sku.family": {"A"},
        "properties.sku.name": {"standard", "premium"},
        "properties.networkAcls.bypass": {"AzureServices", "None"},
    },
    "Microsoft.OperationalInsights/workspaces": {"properties.sku.name": {"PerGB2018"}},
    "Microsoft.Storage/storageAccounts": {
        "kind": {"StorageV2"},
        "sku.name": {f"Standard_{kind}" for kind in ("LRS", "ZRS", "GRS", "GZRS", "RAGRS", "RAGZRS")},
        "properties.minimumTlsVersion": {"TLS1_2", "TLS1_3"},
        "properties.networkAcls.bypass": {"AzureServices", "None"},
    },
    "Microsoft.Storage/storageAccounts/managementPolicies": {
        "properties.policy.rules.type": {"Lifecycle"},
        f"{FILTERS}.blobTypes": {"blockBlob", "appendBlob"},
    },
    "Microsoft.Web/sites": {
        "properties.siteConfig.minTlsVersion": {"1.2", "1.3"},
        "properties.functionAppConfig.runtime.name": {"python"},
        "properties.functionAppConfig.deployment.storage.type": {"blobContainer"},
        "properties.functionAppConfig.deployment.storage.authentication.type": {"UserAssignedIdentity"},
        "properties.functionAppConfig.siteUpdateStrategy.type": {"Recreate", "RollingUpdate"},
    },
}

#: What Graph cannot do without, though its types do not say so.
NEEDED = {
    "appRoles": {"id", "value", "displayName", "description", "allowedMemberTypes", "isEnabled"},
    "oauth2PermissionScopes": {
        *("id", "value", "type", "isEnabled", "adminConsentDisplayName", "adminConsentDescription"),
    },
}


def values_at(value: Any, path: str) -> list[Any]:
    if isinstance(value, list):
        return [found for item in value for found in values_at(item, path)]
    if not path:
        return [] if value is None else [value]
    key, _, rest = path.partition(".")
    inside = value.values() if key == "*" else [value.get(key)] if isinstance(value, dict) else []
    return [found for item in inside for found in values_at(item, rest)]


@pytest.mark.fails_when(
    predicted('"family": "A"', '"family": "B"'),
    predicted('"category": "Cost"', '"kind": "Cost"', "private-network"),
    template("modules/storage-account.bicep", "kind: 'StorageV2'", "kind: 'StorageV9'"),
    template("modules/entra.bicep", "type: 'User'", "type: 'Users'"),
    template("modules/budget.bicep", "timeGrain: 'Monthly'", "timeGrain: 'Daily'", "private-network"),
)
def test_azure_knows_every_value(project: Project) -> None:
    for kind, lists in ACCEPTED.items():
        resources = [item for azure in project.predictions.values() for item in azure.all(kind)]
        for path, accepted in lists.items():
            found = set(values_at(resources, path))
            assert found, f"{kind} has no {path}"
            assert found <= accepted, f"{kind} {path}"


@pytest.mark.fails_when(
    predicted('"isEnabled": true\n', '"enabled": true\n'),
    template("modules/entra.bicep", "      isEnabled: true\n", ""),
)
def test_roles_and_scopes_of_the_registration_are_complete_and_on(project: Project) -> None:
    for azure in project.predictions.values():
        for application in azure.all("Microsoft.Graph/applications"):
            parts = {**application["properties"], **application["properties"]["api"]}
            for part, needed in NEEDED.items():
                for item in parts[part]:
                    assert needed <= item.keys()
                    assert item["isEnabled"] is True


@pytest.mark.fails_when(
    file("infra/modules/roles.bicep", "storageAccounts@2025-08-01", "storageAccounts@2025-06-01")
)
def test_a_resource_type_has_one_api_version_everywhere(project: Project) -> None:
    """The linter compares each with the calendar, and none with another."""
    texts = [text for path, text in project.files.items() if path.endswith(".bicep")]
    used = {found for text in texts for found in re.findall(r"'(Microsoft\.[\w./]+)@([\w.-]+)'", text)}

    assert sorted(used) == sorted({kind: (kind, version) for kind, version in used}.values())
