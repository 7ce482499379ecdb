"""The app registration: permissions, redirect, roles, and the credential that replaces a secret."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project
    from tests.infra.template import Declaration, Value

ENTRA = "infra/modules/entra.bicep"
PERMISSIONS = "infra/graph-permissions.json"
GRAPH = "00000003-0000-0000-c000-000000000000"

#: https://learn.microsoft.com/graph/permissions-reference
PERMISSION_IDS = {
    "delegated": {
        "Mail.ReadWrite": "024d486e-b451-40bb-833d-3e66d98c5c73",
        "Mail.ReadWrite.Shared": "5df07973-7d5d-46ed-9847-1271055cbd51",
        "Mail.Send": "e383f46e-2787-4529-855e-0e479a3ffac0",
        "Mail.Send.Shared": "a367ab51-6b49-43bf-a716-a1fb06d2a174",
        "offline_access": "7427e0e9-2fba-42fe-b0c0-848c9e6a8182",
        "openid": "37f7f235-527c-4136-accd-4a02d197296e",
        "profile": "14dad69e-099b-42c9-810b-d002981feec1",
    },
    "application": {
        "Mail.ReadWrite": "e2a3a72e-5f79-4c64-b1b1-878b674786c9",
        "Mail.Send": "b633e1c5-b582-4048-a93e-9f11b44c7e96",
    },
}


def permissions_are_those_needed(project: Project) -> Iterator[str]:
    """Both ways of authorisation are declared, with Microsoft's ids, and nothing beyond mail."""
    found = json.loads(project.files[PERMISSIONS])
    for way, wanted in PERMISSION_IDS.items():
        for name in sorted(wanted.keys() | found.get(way, {}).keys()):
            if found.get(way, {}).get(name) != wanted.get(name):
                yield f"{PERMISSIONS}: {way} {name} is {found.get(way, {}).get(name)}, not {wanted.get(name)}"


def scopes_of_the_code_are_declared(project: Project) -> Iterator[str]:
    """Every mail scope that the code asks for is declared on the registration."""
    declared = json.loads(project.files[PERMISSIONS])["delegated"]
    for path, text in project.files.items():
        if path.startswith("shared/") and path.endswith(".py"):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    scope = re.fullmatch(r"(?:https://\S+/)?((?:Mail|User)\.\w+(?:\.Shared)?)", node.value)
                    if scope and scope[1] not in declared:
                        yield f"{path}:{node.lineno} {scope[1]} is not declared in {PERMISSIONS}"


def permissions_are_declared_on_graph(project: Project) -> Iterator[str]:
    """Delegated ones as scopes, application ones as roles, all on Microsoft Graph."""
    template = project.templates[ENTRA]
    for name, way, kind in (
        ("declaredScopes", "delegated", "Scope"),
        ("declaredRoles", "application", "Role"),
    ):
        variable = template.named(name)
        text = variable.body.text if variable and variable.body else ""
        if f"permissions.{way}" not in text or f"type: '{kind}'" not in text:
            yield f"{ENTRA}: {name} must declare {way} permissions as {kind}"
    graph = template.named("graphAppId")
    if not graph or not graph.body or graph.body.text != GRAPH:
        yield f"{ENTRA}: graphAppId is not Microsoft Graph's"
    if (
        "concat(declaredScopes, declareApplicationPermissions ? declaredRoles : [])"
        not in project.files[ENTRA]
    ):
        yield f"{ENTRA}: not all permissions are declared"


def nothing_is_granted_by_itself(project: Project) -> Iterator[str]:
    """Consent is given by a person: no grant for the whole tenant, no password on the registration."""
    for word in ("oauth2PermissionGrants", "passwordCredentials", "keyCredentials"):
        for path, text in project.files.items():
            if path.endswith(".bicep") and word in text:
                yield f"{path}: {word} does not belong here"


def tokens_are_of_version_two(project: Project) -> Iterator[str]:
    """API_AUDIENCE is the client id, which only tokens of version 2 carry as their audience."""
    for item in _registrations(project):
        if _text(item.at("api.requestedAccessTokenVersion")) != "2":
            yield f"{ENTRA}:{item.line} requestedAccessTokenVersion is not 2"


def admins_are_users_with_the_role(project: Project) -> Iterator[str]:
    """The registration has the one admin role, for users only, named by the setting."""
    for item in _registrations(project):
        roles = item.at("appRoles")
        role = roles.parts[0] if roles and len(roles.parts) == 1 else None
        found = (_text(role.at("value")), _text(role.at("allowedMemberTypes"))) if role else None
        if found != ("adminRole", "[ 'User' ]"):
            yield f"{ENTRA}:{item.line} the app role is {found}"
    default = project.main.named("adminRole")
    if not default or not default.body or default.body.text != "Workspace.Admin":
        yield "infra/main.bicep: adminRole is not Workspace.Admin by default"


def redirect_is_the_callback(project: Project) -> Iterator[str]:
    """Microsoft sends the browser back to the callback, as a Web redirect and nowhere else."""
    for item in _registrations(project):
        if _text(item.at("web.redirectUris")) != "[ redirectUri ]" or item.at("spa"):
            yield f"{ENTRA}:{item.line} the redirect is not the one callback"
    variable = project.main.named("redirectUri")
    if not variable or not variable.body or variable.body.text != "${baseUrl}/api/consent/callback":
        yield "infra/main.bicep: redirectUri is not <base>/api/consent/callback"


def identity_is_the_credential(project: Project) -> Iterator[str]:
    """The managed identity stands for the app: right name, issuer, subject and audience."""
    wanted = {
        "name": "${registration.uniqueName}/managed-identity",
        "audiences": "[ cloud.tokenExchangeAudience ]",
        "issuer": "${cloud.authorityHost}/${tenant().tenantId}/v2.0",
        "subject": "identityPrincipalId",
    }
    target = "Microsoft.Graph/applications/federatedIdentityCredentials"
    credentials = project.templates[ENTRA].of("resource", target)
    if len(credentials) != 1:
        yield f"{ENTRA}: one federated credential is wanted, not {len(credentials)}"
    for item in credentials:
        for path, expected in wanted.items():
            if _text(item.at(path)) != expected:
                yield f"{ENTRA}:{item.line} {path} is {_text(item.at(path))}, not {expected}"


def extension_stands_in_one_module(project: Project) -> Iterator[str]:
    """Only the registration needs Microsoft Graph, so that the rest deploys without directory rights."""
    for path, text in project.files.items():
        if path.endswith(".bicep"):
            has = re.search(r"^extension microsoftGraphV1$", text, re.MULTILINE) is not None
            if has != (path == ENTRA):
                yield f"{path}: the Graph extension {'does not belong here' if has else 'is missing'}"
    if "microsoftGraphV1" not in json.loads(project.files["infra/bicepconfig.json"]).get("extensions", {}):
        yield "infra/bicepconfig.json: the Graph extension is not configured"


def _registrations(project: Project) -> Iterator[Declaration]:
    yield from project.templates[ENTRA].of("resource", "Microsoft.Graph/applications")


def _text(value: Value | None) -> str | None:
    return value.text if value else None


RULES = (
    permissions_are_those_needed,
    scopes_of_the_code_are_declared,
    permissions_are_declared_on_graph,
    nothing_is_granted_by_itself,
    tokens_are_of_version_two,
    admins_are_users_with_the_role,
    redirect_is_the_callback,
    identity_is_the_credential,
    extension_stands_in_one_module,
)
