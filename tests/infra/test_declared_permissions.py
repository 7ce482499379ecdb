"""The declared permissions, all of which an admin's consent grants."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.infra.changes import file, predicted, template
from tests.infra.prediction import at

if TYPE_CHECKING:
    from tests.infra.prediction import Prediction
    from tests.infra.project import Project

ENTRA = "modules/entra.bicep"
GRAPH = "00000003-0000-0000-c000-000000000000"
#: https://learn.microsoft.com/graph/permissions-reference
SCOPES = {
    "Mail.ReadWrite": "024d486e-b451-40bb-833d-3e66d98c5c73",
    "Mail.ReadWrite.Shared": "5df07973-7d5d-46ed-9847-1271055cbd51",
    "Mail.Send": "e383f46e-2787-4529-855e-0e479a3ffac0",
    "Mail.Send.Shared": "a367ab51-6b49-43bf-a716-a1fb06d2a174",
    "offline_access": "7427e0e9-2fba-42fe-b0c0-848c9e6a8182",
    "openid": "37f7f235-527c-4136-accd-4a02d197296e",
    "profile": "14dad69e-099b-42c9-810b-d002981feec1",
}
ROLES = {
    "Mail.ReadWrite": "e2a3a72e-5f79-4c64-b1b1-878b674786c9",
    "Mail.Send": "b633e1c5-b582-4048-a93e-9f11b44c7e96",
}
SIGN_IN = {"offline_access", "openid", "profile"}


def declared(azure: Prediction) -> tuple[set[str], set[str]]:
    """Return declared delegated and application permissions by Graph name."""
    registration = azure.one("Microsoft.Graph/applications")
    [graph] = at(registration, "properties.requiredResourceAccess")
    assert graph["resourceAppId"] == GRAPH
    names = {("Scope", guid): name for name, guid in SCOPES.items()}
    names |= {("Role", guid): name for name, guid in ROLES.items()}
    found = [(each["type"], names[each["type"], each["id"]]) for each in graph["resourceAccess"]]
    return {name for kind, name in found if kind == "Scope"}, {name for kind, name in found if kind == "Role"}


@pytest.mark.fails_when(
    predicted(SCOPES["Mail.Send"], SCOPES["Mail.ReadWrite"]),
    template(
        "main.bicep",
        "declareApplicationPermissions bool = false",
        "declareApplicationPermissions bool = true",
    ),
    template("main.bicep", "declareMailReadWrite bool = false", "declareMailReadWrite bool = true"),
    template(
        ENTRA,
        "declareMailReadWrite ? permissions.mailReadWrite.delegated : {}",
        "permissions.mailReadWrite.delegated",
    ),
)
def test_only_mail_send_of_users_is_declared_by_default(project: Project) -> None:
    assert declared(project.predictions["defaults"]) == ({"Mail.Send", *SIGN_IN}, set())


@pytest.mark.fails_when(
    predicted(ROLES["Mail.ReadWrite"], ROLES["Mail.Send"], "several-tenants"),
    template(ENTRA, "declareApplicationPermissions ? declaredRoles : []", "[]", "several-tenants"),
    template(ENTRA, "permissions.mailReadWrite.application : {}", "{} : {}", "several-tenants"),
)
def test_more_permissions_are_declared_only_if_the_operator_configures_it(project: Project) -> None:
    assert declared(project.predictions["several-tenants"]) == (set(SCOPES), set(ROLES))


@pytest.mark.fails_when(
    template(
        "main.bicep",
        "declareApplicationPermissions: declareApplicationPermissions",
        "declareApplicationPermissions: true",
        "private-network",
    ),
)
def test_no_other_switch_declares_application_permissions(project: Project) -> None:
    assert declared(project.predictions["private-network"])[1] == set()


@pytest.mark.fails_when(
    file("infra/graph-permissions.json", '"Mail.ReadWrite.Shared"', '"Mail.ReadWrite.All"')
)
def test_every_permission_that_the_code_requests_can_be_declared(project: Project) -> None:
    permissions = json.loads(project.files["infra/graph-permissions.json"])
    known = permissions["delegated"].keys() | permissions["mailReadWrite"]["delegated"].keys()
    requested = {
        node.value
        for node in ast.walk(ast.parse(project.files["shared/settings/tenant.py"]))
        if isinstance(node, ast.Constant) and re.fullmatch(r"Mail\.\w+(\.Shared)?", str(node.value))
    }

    assert requested == known - SIGN_IN


@pytest.mark.fails_when(
    predicted('"APPLICATION_SENDERS": "reports', '"APPLICATION_SENDERS": "other', "several-tenants"),
    predicted('"APPLICATION_SENDERS": ""', '"APPLICATION_SENDERS": "reports@contoso.com"'),
    template(
        "modules/function.bicep",
        "APPLICATION_SENDERS: join(applicationSenders, ',')",
        "APPLICATION_SENDERS: ''",
        "several-tenants",
    ),
)
def test_the_listed_senders_reach_the_app_and_there_are_none_by_default(project: Project) -> None:
    found = {name: azure.settings["APPLICATION_SENDERS"] for name, azure in project.predictions.items()}

    assert found.pop("several-tenants") == "reports@contoso.com,reports@fabrikam.com"
    assert set(found.values()) == {""}
