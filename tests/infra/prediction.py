"""The resources of a deployment as `bicep snapshot` predicts them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A resource of a snapshot: `type`, `name`, `apiVersion`, `properties` and so on. Microsoft Graph's have
#: neither name nor id.
type Resource = dict[str, Any]

_RESOURCE_ID = re.compile(r"/subscriptions/[^'\[\]]+")


@dataclass(frozen=True)
class Prediction:
    """The resources that one set of parameters deploys.

    A resource that the deployment writes twice, first open and then closed for instance, appears as it is
    in the end.

    A value that Azure computes stays an expression, for example `[reference('<id>', '…').clientId]`;
    compare it by the resources that it names: `references(value)`.
    """

    name: str
    resources: tuple[Resource, ...]
    outputs: dict[str, Any]
    diagnostics: tuple[Any, ...]

    @classmethod
    def from_json(cls, name: str, text: str) -> Prediction:
        """Read a snapshot; remove the version that Bicep adds to Graph types."""
        snapshot = json.loads(text)
        return cls(
            name=name,
            resources=_final_resources(
                _without_version(resource) for resource in snapshot["predictedResources"]
            ),
            outputs=snapshot["outputs"],
            diagnostics=tuple(snapshot["diagnostics"]),
        )

    def all(self, resource_type: str, name: str = "") -> list[Resource]:
        """Return the resources of a type, optionally with a name or its end.

        The last part of a name, after `/`, suffices.
        """
        return [
            resource
            for resource in self.resources
            if resource["type"] == resource_type
            and (not name or name in {resource.get("name"), resource.get("name", "").rpartition("/")[2]})
        ]

    def one(self, resource_type: str, name: str = "") -> Resource:
        """Return the only resource of a type (and name).

        Raises:
            AssertionError: there is none, or there are several.
        """
        found = self.all(resource_type, name)
        assert len(found) == 1, f"{self.name} has {len(found)} of {resource_type} {name}".rstrip()
        return found[0]

    @property
    def settings(self) -> dict[str, str]:
        """The app settings of the site."""
        settings: dict[str, str] = self.one("Microsoft.Web/sites/config", "appsettings")["properties"]
        return settings


def at(resource: Resource, path: str) -> Any:
    """Return the value under a dotted path, or None where the path ends early."""
    value: Any = resource
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def resources_of(template: dict[str, Any]) -> dict[str, Resource]:
    """Return the resources of a compiled template by symbolic or other name."""
    resources: dict[str, Resource] | list[Resource] = template["resources"]
    return resources if isinstance(resources, dict) else {item["name"]: item for item in resources}


def references(value: str) -> set[str]:
    """Return the resource ids that an expression or an id contains."""
    return set(_RESOURCE_ID.findall(value))


def _final_resources(written: Iterable[Resource]) -> tuple[Resource, ...]:
    """Keep the last resource of each id; Graph resources have no id."""
    return tuple({resource.get("id", index): resource for index, resource in enumerate(written)}.values())


def _without_version(resource: Resource) -> Resource:
    bare, _, version = resource["type"].partition("@")
    return resource | {"type": bare} | ({"apiVersion": version} if version else {})
