"""The private network: the order in which its resources are created.

It is read from the compiled template and from the order of the writes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.changes import predicted, template
from tests.infra.prediction import Prediction, at
from tests.infra.project import snapshot_path

if TYPE_CHECKING:
    from tests.infra.bicep import Bicep
    from tests.infra.project import Project

MAIN = "main.bicep"
NETWORK = "modules/network.bicep"
ACCOUNT = "Microsoft.Storage/storageAccounts"
VAULT = "Microsoft.KeyVault/vaults"


def waits_for(resources: dict[str, Any], name: str) -> set[str]:
    """Return all direct and indirect dependencies by symbolic name."""
    direct: set[str] = set(resources[name].get("dependsOn", []))
    return direct.union(*(waits_for(resources, other) for other in direct))


@pytest.mark.fails_when(
    template(MAIN, "dependsOn: [storageAccount, network, function]", "dependsOn: [storageAccount, network]"),
    template(MAIN, "dependsOn: [vault, network, function]", "dependsOn: [vault, network]"),
    template(MAIN, "privateNetwork ? network!.outputs.appSubnetId : ''", "privateNetwork ? 'app' : ''"),
)
def test_storage_and_vault_close_after_the_site_joined_the_network(project: Project, bicep: Bicep) -> None:
    resources = project.compiled(bicep)["resources"]

    assert "network" in waits_for(resources, "function")
    assert "function" in waits_for(resources, "storageClosed")
    assert "function" in waits_for(resources, "vaultClosed")


@pytest.mark.fails_when(
    template(MAIN, "dependsOn: [storageAccount]", "dependsOn: []"),
    template(MAIN, "vaultId: vault.outputs.id", "vaultId: 'vault'"),
)
def test_storage_and_vault_open_before_the_site_leaves_the_network(project: Project, bicep: Bicep) -> None:
    resources = project.compiled(bicep)["resources"]

    assert {"storageAccount", "vault"} <= waits_for(resources, "network")
    assert {"storageAccount", "vault"} <= waits_for(resources, "function")
    assert "storageAccount" in waits_for(resources, "storage")


def written(project: Project, kind: str, deployment: str = "private-network") -> list[str]:
    """Return the allowed internet access at each write of a resource."""
    snapshot = json.loads(project.files[snapshot_path(deployment)])
    return [
        at(resource, "properties.networkAcls.defaultAction") or "as it is"
        for resource in snapshot["predictedResources"]
        if resource["type"] == kind
    ]


@pytest.mark.fails_when(
    predicted(
        '"supportsHttpsTrafficOnly": true', '"networkAcls": {"defaultAction": "Deny"}', "private-network"
    ),
    template(MAIN, "deployed.closed == 'true' ? 'closed' : 'unchanged'", "'closed'", "private-network"),
    template(MAIN, "deployed.closed == 'true' ? 'closed' : 'unchanged'", "'open'", "private-network"),
)
def test_a_first_private_deployment_closes_storage_and_vault_last(
    project: Project,
) -> None:
    assert written(project, ACCOUNT) == ["as it is", "Deny"]
    assert written(project, VAULT) == ["as it is", "Deny"]
    assert {kind: written(project, kind, "defaults") for kind in (ACCOUNT, VAULT)} == {
        ACCOUNT: ["Allow"],
        VAULT: ["Allow"],
    }


@pytest.mark.fails_when(
    template(MAIN, "closed: privateNetwork ? 'true' : 'false'", "closed: 'false'", "private-network"),
    template(MAIN, "deployed.closed == 'true' ? 'closed'", "deployed.closed == 'yes' ? 'closed'"),
)
def test_a_later_deployment_never_opens_them(project: Project, bicep: Bicep) -> None:
    first = project.predictions["private-network"].outputs["DEPLOYED_WITH"]
    again = project.with_parameters("private-network", deployedWith=f"'{first}'").predicted_again(
        bicep, "private-network"
    )

    assert written(again, ACCOUNT) == ["Deny", "Deny"]
    assert written(again, VAULT) == ["Deny", "Deny"]


@pytest.mark.fails_when(
    template(NETWORK, "@batchSize(1)\nresource privateEndpoints", "resource privateEndpoints"),
    template(NETWORK, "@batchSize(1)\nresource privateEndpoints", "@batchSize(2)\nresource privateEndpoints"),
    template(NETWORK, "dependsOn: [privateEndpoints, links]", "dependsOn: [links]"),
)
def test_private_endpoints_are_created_serially_and_zone_groups_after_them(
    project: Project, bicep: Bicep
) -> None:
    module = project.compiled(bicep)["resources"]["network"]["properties"]["template"]
    loops = {item["copy"]["name"]: item for item in module["resources"] if "copy" in item}

    assert loops["privateEndpoints"]["copy"].get("mode") == "serial"
    assert loops["privateEndpoints"]["copy"]["batchSize"] == 1
    assert "privateEndpoints" in loops["zoneGroups"]["dependsOn"]


def closed_to(azure: Prediction, kind: str) -> tuple[str, str, list[str]]:
    properties = azure.one(kind)["properties"]
    acls = properties["networkAcls"]
    return (
        properties["publicNetworkAccess"],
        acls["defaultAction"],
        [rule["value"] for rule in acls["ipRules"]],
    )


@pytest.mark.fails_when(
    template(MAIN, "param allowedIpAddresses string = ''", "param allowedIpAddresses string = '192.0.2.1'"),
    template("modules/vault.bicep", "empty(allowedIpAddresses) ? 'Disabled'", "empty(name) ? 'Disabled'"),
)
def test_without_addresses_the_internet_is_out_altogether(project: Project, bicep: Bicep) -> None:
    azure = (
        project.with_parameters("defaults", privateNetwork="true")
        .predicted_again(bicep, "defaults")
        .predictions["defaults"]
    )

    assert closed_to(azure, ACCOUNT) == ("Disabled", "Deny", [])
    assert closed_to(azure, VAULT) == ("Disabled", "Deny", [])
