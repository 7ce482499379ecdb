"""API versions: one table, because an unknown version fails only when it is deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project

#: The longest matching prefix decides. Key Vault: every older version retires on 27 February 2027, see
#: https://learn.microsoft.com/azure/key-vault/general/access-control-default.
VERSIONS = {
    "Microsoft.Authorization/": "2022-04-01",
    "Microsoft.Consumption/": "2024-08-01",
    "Microsoft.Graph/": "v1.0",
    "Microsoft.Insights/actionGroups": "2023-01-01",
    "Microsoft.Insights/components": "2020-02-02",
    "Microsoft.Insights/diagnosticSettings": "2021-05-01-preview",
    "Microsoft.Insights/scheduledQueryRules": "2023-12-01",
    "Microsoft.Insights/workbooks": "2023-06-01",
    "Microsoft.KeyVault/": "2026-02-01",
    "Microsoft.ManagedIdentity/": "2024-11-30",
    "Microsoft.Network/privateDnsZones": "2024-06-01",
    "Microsoft.Network/privateEndpoints": "2025-05-01",
    "Microsoft.Network/virtualNetworks": "2025-05-01",
    "Microsoft.OperationalInsights/": "2025-07-01",
    "Microsoft.Resources/": "2024-11-01",
    "Microsoft.Storage/": "2025-08-01",
    "Microsoft.Web/": "2025-03-01",
}


def versions_are_those_of_the_table(project: Project) -> Iterator[str]:
    """Every resource has the API version that the table gives its type."""
    for template in project.templates.values():
        for resource in template.of("resource"):
            prefix = max((p for p in VERSIONS if resource.target.startswith(p)), key=len, default="")
            wanted = VERSIONS.get(prefix)
            if resource.version != wanted:
                found = f"{resource.target} has {resource.version}"
                yield f"{template.path}:{resource.line} {found}, not {wanted}"


RULES = (versions_are_those_of_the_table,)
