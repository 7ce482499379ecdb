"""Access: each principal has exactly the roles it needs, on one resource."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.infra.changes import predicted, template
from tests.infra.prediction import at, references

if TYPE_CHECKING:
    from tests.infra.prediction import Prediction, Resource
    from tests.infra.project import Project

ROLES = "modules/roles.bicep"
ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
#: The namespace of Resource Manager's guid().
GUID_NAMESPACE = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")

#: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLE_NAMES = {
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": "Storage Queue Data Message Sender",
    "8a0f0c08-91a1-4084-bc3d-661d67233fed": "Storage Queue Data Message Processor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
}

#: The host's minimum, the app's own data, tokens, telemetry. No more.
APP = {
    ("the app", "Storage Blob Data Owner", "Microsoft.Storage/storageAccounts"),
    ("the app", "Storage Queue Data Contributor", "Microsoft.Storage/storageAccounts"),
    ("the app", "Storage Table Data Contributor", "Microsoft.Storage/storageAccounts"),
    ("the app", "Key Vault Secrets Officer", "Microsoft.KeyVault/vaults"),
    ("the app", "Monitoring Metrics Publisher", "Microsoft.Insights/components"),
}
OPERATOR_ID = "00000000-0000-4000-8000-0000000000c1"
CONTAINERS = "Microsoft.Storage/storageAccounts/blobServices/default/containers"
#: An operator repairs data and tokens by hand; the package of the app is in a container out of reach.
OPERATOR = {
    (OPERATOR_ID, role, scope)
    for role, scope in (
        ("Storage Blob Data Contributor", f"{CONTAINERS}/attachments"),
        ("Storage Blob Data Contributor", f"{CONTAINERS}/mail-requests"),
        ("Storage Queue Data Contributor", "Microsoft.Storage/storageAccounts"),
        ("Storage Table Data Contributor", "Microsoft.Storage/storageAccounts"),
        ("Key Vault Secrets Officer", "Microsoft.KeyVault/vaults"),
    )
}
#: A scheduler sends to one queue and writes to one container.
SCHEDULERS = {
    (scheduler, role, f"Microsoft.Storage/storageAccounts/{scope}")
    for scheduler in ("00000000-0000-4000-8000-0000000000e1", "00000000-0000-4000-8000-0000000000e2")
    for role, scope in (
        ("Storage Queue Data Message Sender", "queueServices/default/queues/mail-outbox"),
        ("Storage Blob Data Contributor", "blobServices/default/containers/attachments"),
        ("Storage Queue Data Message Processor", "queueServices/default/queues/mail-outcomes"),
        ("Storage Queue Data Message Processor", "queueServices/default/queues/finance-outcomes"),
    )
}
BESIDES_THE_APP = {"private-network": OPERATOR, "several-tenants": SCHEDULERS}


def role_of(assignment: Resource) -> str:
    role_id: str = assignment["properties"]["roleDefinitionId"].rpartition("/")[2]
    return ROLE_NAMES.get(role_id, role_id)


def scope_of(assignment: Resource) -> str:
    """Return the id of the resource of a role assignment.

    The id of the assignment can be an expression around it.
    """
    inner: str = assignment["id"].removeprefix("[extensionResourceId('").partition("'")[0]
    return inner.partition(f"/providers/{ASSIGNMENT}")[0]


def kind_of(azure: Prediction, resource_id: str) -> str:
    """The type of a top-level resource, followed by the path below it."""
    provider, kind, _, *below = [*resource_id.partition("/providers/")[2].split("/"), "", ""]
    assert f"{provider}/{kind}" in {resource["type"] for resource in azure.resources}, resource_id
    return "/".join([provider, kind, *below[:-2]])


def principal_of(azure: Prediction, assignment: Resource) -> str:
    principal: str = assignment["properties"]["principalId"]
    identity = azure.one("Microsoft.ManagedIdentity/userAssignedIdentities")["id"]
    return "the app" if references(principal) == {identity} and ".principalId" in principal else principal


@pytest.mark.fails_when(
    predicted("roleDefinitions/b7e6dc6d-f1e8-4753-8033", "roleDefinitions/8e3af657-a8ff-443c-a75c"),
    predicted("roleDefinitions/c6a89b2d", "roleDefinitions/974c5e8b", "several-tenants"),
    predicted("/queues/mail-outbox/providers", "/queues/other/providers", "several-tenants"),
    predicted(
        '"principalId": "00000000-0000-4000-8000-0000000000c1"', '"principalId": ""', "private-network"
    ),
    template(ROLES, "b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "b7e6dc6d-f1e8-4753-8033-0f276bb0955c"),
    template(ROLES, "  'Storage Queue Data Contributor'\n", ""),
    template(ROLES, "  scope: vault\n", ""),
    template(ROLES, "scope: outbox", "scope: storage", "several-tenants"),
    template(ROLES, "scope: outcomes[i % ", "scope: outcomes[0 * ", "several-tenants"),
    template(
        ROLES,
        "principalId: schedulerPrincipalIds[i /",
        "principalId: schedulerPrincipalIds[0 *",
        "several-tenants",
    ),
    template(ROLES, "scope: operatorContainers[i]", "scope: storage", "private-network"),
    template(ROLES, "empty(operatorPrincipalId) ? [] : dataContainerNames", "dataContainerNames"),
    template(
        "modules/storage.bicep",
        "output dataContainerNames array = containerNames",
        "output dataContainerNames array = concat(containerNames, [packageContainerName])",
        "private-network",
    ),
    template(ROLES, "operatorVaultRoles = empty(operatorPrincipalId) ? [] :", "operatorVaultRoles ="),
    template(
        "modules/storage.bicep",
        "['mail-outbox', ",
        "['mail-outbox-poison', 'mail-outbox', ",
        "several-tenants",
    ),
)
def test_each_principal_has_exactly_the_roles_it_needs(project: Project) -> None:
    for azure in project.predictions.values():
        found = [
            (principal_of(azure, assignment), role_of(assignment), kind_of(azure, scope_of(assignment)))
            for assignment in azure.all(ASSIGNMENT)
        ]
        assert sorted(found) == sorted(APP | BESIDES_THE_APP.get(azure.name, set()))


@pytest.mark.fails_when(
    predicted(".principalId, 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b')]", ".principalId)]"),
    predicted('"name": "cf011c40-c041-5922-9814', '"name": "cf011c40-c041-5922-9815', "private-network"),
    template(ROLES, "guid(storage.id, appPrincipalId, roleIds[role])", "guid(storage.id, roleIds[role])"),
    template(ROLES, "guid(outbox.id, principalId,", "guid(storage.id, principalId,", "several-tenants"),
)
def test_assignments_are_named_by_scope_principal_and_role(project: Project) -> None:
    """A new identity of the same name must get its own assignment."""
    for azure in project.predictions.values():
        for assignment in azure.all(ASSIGNMENT):
            scope, principal = scope_of(assignment), assignment["properties"]["principalId"]
            role = assignment["properties"]["roleDefinitionId"].rpartition("/")[2]
            computed = f"[guid('{scope}', {principal.strip('[]')}, '{role}')]"
            known = str(uuid.uuid5(GUID_NAMESPACE, f"{scope}-{principal}-{role}"))
            assert assignment["name"] == (computed if principal.startswith("[") else known)


@pytest.mark.fails_when(
    predicted('"principalType": "ServicePrincipal",', ""),
    predicted('"principalType": "User"', '"principalType": "ServicePrincipal"', "private-network"),
    template(ROLES, "      principalType: 'ServicePrincipal'\n", ""),
)
def test_assignments_say_what_kind_of_principal_they_mean(project: Project) -> None:
    """Azure needs the type for a principal that has not replicated yet."""
    for azure in project.predictions.values():
        for assignment in azure.all(ASSIGNMENT):
            operator = assignment["properties"]["principalId"] == OPERATOR_ID
            assert at(assignment, "properties.principalType") == ("User" if operator else "ServicePrincipal")


@pytest.mark.fails_when(
    predicted("blobs/delete'}))", "blobs/delete'}) OR true)", "several-tenants"),
    predicted("0000000000bb/sales/'))\"", "0000000000bb/sales'))\"", "several-tenants"),
    predicted('"conditionVersion": "2.0"', '"conditionVersion": null', "several-tenants"),
    template(
        ROLES, "=> item.principalId == principalId)).?condition", "=> true)).?condition", "several-tenants"
    ),
    template(ROLES, "/delete\\'}))'", "/read\\'}))'", "several-tenants"),
)
def test_a_scheduler_with_a_path_reaches_no_file_outside_it(project: Project) -> None:
    """The condition must follow Azure's example for paths.

    https://learn.microsoft.com/azure/storage/blobs/storage-auth-abac-examples
    """
    azure = project.predictions["several-tenants"]
    free, limited = sorted(
        (each["properties"] for each in azure.all(ASSIGNMENT) if "/attachments/" in each["id"]),
        key=lambda properties: str(properties["principalId"]),
    )
    blobs = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
    path = "00000000-0000-0000-0000-0000000000bb/sales/"

    assert (free["condition"], free["conditionVersion"]) == (None, None)
    assert limited["conditionVersion"] == "2.0"
    assert limited["condition"] == (
        f"((!(ActionMatches{{'{blobs}/read'}} AND NOT SubOperationMatches{{'Blob.List'}})"
        + "".join(
            f" AND !(ActionMatches{{'{blobs}/{action}'}})"
            for action in ("write", "add/action", "move/action", "delete")
        )
        + f") OR (@Resource[{blobs}:path] StringStartsWith '{path}'))"
        f" AND ((!(ActionMatches{{'{blobs}/read'}} AND SubOperationMatches{{'Blob.List'}}))"
        f" OR (@Request[{blobs}:prefix] StringStartsWith '{path}'))"
    )
