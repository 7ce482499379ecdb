"""The app registration: redirect, roles, and the federated credential.

Its permissions are in `test_declared_permissions.py`.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING

import pytest

from shared.api.openapi.deliveries import READ_ROLE
from shared.clouds import CLOUDS
from tests.infra.bicep import TENANT
from tests.infra.changes import file, interface, parameter, predicted, template
from tests.infra.prediction import at, references, resources_of

if TYPE_CHECKING:
    from tests.infra.bicep import Bicep
    from tests.infra.prediction import Prediction
    from tests.infra.project import Project

ENTRA = "modules/entra.bicep"
PERMISSIONS = "infra/graph-permissions.json"
CLOUD_TABLE = "infra/clouds.json"
APPLICATION = "Microsoft.Graph/applications"
CREDENTIAL = "Microsoft.Graph/applications/federatedIdentityCredentials"
#: The parameter sets that bring a registration instead of making one.
BRINGING = {"own-registration", "usgov"}


def registered(project: Project) -> list[Prediction]:
    """The deployments that make a registration."""
    return [azure for azure in project.predictions.values() if azure.name not in BRINGING]


@pytest.mark.fails_when(
    file("shared/settings/tenant.py", '"Mail.Send"', '"Mail.Read"'),
    file(PERMISSIONS, '"Mail.Send.Shared"', '"Mail.Shared"'),
)
def test_scopes_of_the_code_are_declared(project: Project) -> None:
    """Each mail scope of the code is in the permissions file."""
    permissions = json.loads(project.files[PERMISSIONS])
    declared = permissions["delegated"].keys() | permissions["mailReadWrite"]["delegated"].keys()
    used = {
        scope[1]
        for path, text in project.files.items()
        if path.startswith("shared/")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if (scope := re.fullmatch(r"(?:https://\S+/)?((?:Mail|User)\.\w+(?:\.Shared)?)", node.value))
    }

    assert used
    assert used - declared == set()


@pytest.mark.fails_when(
    predicted('"uniqueName": "', '"passwordCredentials": [], "uniqueName": "'),
    predicted("Microsoft.Graph/servicePrincipals@", "Microsoft.Graph/oauth2PermissionGrants@"),
    template(
        ENTRA,
        "Microsoft.Graph/appRoleAssignedTo@",
        "Microsoft.Graph/oauth2PermissionGrants@",
        "several-tenants",
    ),
)
def test_nothing_is_granted_and_no_password_is_created(project: Project) -> None:
    """Consent is given by a person; the app proves itself by its identity."""
    for azure in project.predictions.values():
        graph = [item for item in azure.resources if item["type"].startswith("Microsoft.Graph/")]
        assert {item["type"].partition("/")[2] for item in graph} <= {
            "applications",
            "servicePrincipals",
            "applications/federatedIdentityCredentials",
            "appRoleAssignedTo",
        }
        assert not any(
            {"passwordCredentials", "keyCredentials"} & item["properties"].keys() for item in graph
        )


@pytest.mark.fails_when(
    predicted('"ENTRA_CLIENT_ID": "0', '"ENTRA_CLIENT_ID": "x0', "own-registration"),
    predicted('"type": "Microsoft.Web/serverfarms"', '"type": "Microsoft.Graph/servicePrincipals"', "usgov"),
    template("main.bicep", "if (createAppRegistration) {", "if (true) {", "usgov"),
)
def test_a_registration_that_exists_needs_no_right_in_the_directory(project: Project) -> None:
    for azure in project.predictions.values():
        graph = [item["type"] for item in azure.resources if item["type"].startswith("Microsoft.Graph/")]
        assert bool(graph) == (azure.name not in BRINGING)
        if azure.name in BRINGING:
            assert azure.settings["ENTRA_CLIENT_ID"] == "00000000-0000-4000-8000-0000000000a1"


@pytest.mark.fails_when(
    predicted('"requestedAccessTokenVersion": 2', '"requestedAccessTokenVersion": 1'),
    template(ENTRA, "requestedAccessTokenVersion: 2", "requestedAccessTokenVersion: 1"),
)
def test_tokens_are_of_version_two(project: Project) -> None:
    """API_AUDIENCE is the client id, the audience of version 2 tokens only."""
    for azure in registered(project):
        assert azure.one(APPLICATION)["properties"]["api"]["requestedAccessTokenVersion"] == 2


@pytest.mark.fails_when(
    predicted(
        '"allowedMemberTypes": [\n              "User"',
        '"allowedMemberTypes": [\n              "Application"',
    ),
    predicted(
        '"allowedMemberTypes": [\n              "Application"',
        '"allowedMemberTypes": [\n              "User"',
    ),
    predicted('"value": "Workspace.Admin"', '"value": "Admin"'),
    template(ENTRA, "['User']", "['User', 'Application']"),
    template(ENTRA, "['Application']", "['User', 'Application']"),
    template(ENTRA, "'Deliveries.Read'", "'Deliveries.ReadWrite'"),
    template("main.bicep", "'Workspace.Admin'", "'Admin'"),
)
def test_people_administer_and_applications_read_deliveries(project: Project) -> None:
    """The first role is named by the setting; the second by an operation."""
    for azure in registered(project):
        roles = azure.one(APPLICATION)["properties"]["appRoles"]
        assert [(role["value"], role["allowedMemberTypes"]) for role in roles] == [
            ("Workspace.Admin", ["User"]),
            (READ_ROLE, ["Application"]),
        ]
        assert azure.settings["ADMIN_ROLE"] == "Workspace.Admin"


@pytest.mark.fails_when(
    predicted('"name": "idtyp"', '"name": "ipaddr"'),
    template(
        ENTRA, "accessToken: [{ name: 'idtyp' }, { name: 'email' }]", "accessToken: [{ name: 'email' }]"
    ),
)
def test_access_tokens_say_whether_they_are_an_applications(project: Project) -> None:
    """`idtyp` is an optional claim.

    https://learn.microsoft.com/entra/identity-platform/optional-claims-reference
    """
    for azure in registered(project):
        claims = azure.one(APPLICATION)["properties"]["optionalClaims"]
        assert {"name": "idtyp"} in claims["accessToken"]


@pytest.mark.fails_when(
    predicted('"name": "email"', '"name": "upn"'),
    template(ENTRA, "idToken: [{ name: 'email' }]", "idToken: [{ name: 'upn' }]"),
)
def test_tokens_contain_the_address_of_an_account_and_its_sign_in_name(project: Project) -> None:
    """`email` is an optional claim.

    https://learn.microsoft.com/entra/identity-platform/optional-claims-reference
    """
    for azure in registered(project):
        claims = azure.one(APPLICATION)["properties"]["optionalClaims"]
        assert {"name": "email"} in claims["accessToken"]
        assert {"name": "email"} in claims["idToken"]


@pytest.mark.fails_when(
    predicted('"id": "ecacd421', '"id": "ecacd422', "several-tenants"),
    template(ENTRA, "id: deliveryReaderRoleId", "id: guid(uniqueName, 'Deliveries.Read')"),
)
def test_the_role_to_read_deliveries_has_the_id_that_the_runbook_names(project: Project) -> None:
    runbook = project.files["docs/operations/schedulers.md"]
    for azure in registered(project):
        _, role = azure.one(APPLICATION)["properties"]["appRoles"]
        assert role["id"] in runbook


@pytest.mark.fails_when(
    predicted('"appRoleId": "', '"appRoleId": "x', "several-tenants"),
    predicted(
        '"principalId": "00000000-0000-4000-8000-0000000000d1"', '"principalId": "x"', "several-tenants"
    ),
    template(ENTRA, "    appRoleId: adminRoleId\n", "    appRoleId: scopeId\n", "several-tenants"),
    template(
        ENTRA, "    appRoleId: deliveryReaderRoleId\n", "    appRoleId: adminRoleId\n", "several-tenants"
    ),
)
def test_workspace_admins_and_readers_get_their_roles(project: Project) -> None:
    azure = project.predictions["several-tenants"]
    admin, reader = azure.one(APPLICATION)["properties"]["appRoles"]

    assert [each["properties"] for each in azure.all("Microsoft.Graph/appRoleAssignedTo")] == [
        {
            "appRoleId": role["id"],
            "principalId": principal,
            "resourceId": "[reference('enterpriseApp').id]",
        }
        for role, principal in (
            (admin, "00000000-0000-4000-8000-0000000000d1"),
            (reader, "00000000-0000-4000-8000-0000000000e1"),
        )
    ]


@pytest.mark.fails_when(
    predicted(
        '"signInAudience": "AzureADMultipleOrgs"', '"signInAudience": "AzureADMyOrg"', "several-tenants"
    ),
    predicted('"signInAudience": "AzureADMyOrg"', '"signInAudience": "AzureADMultipleOrgs"'),
    template(ENTRA, "severalTenants ? ", "!severalTenants ? "),
)
def test_accounts_of_other_tenants_sign_in_only_where_several_are_served(project: Project) -> None:
    for azure in registered(project):
        audience = "AzureADMultipleOrgs" if azure.name == "several-tenants" else "AzureADMyOrg"
        assert azure.one(APPLICATION)["properties"]["signInAudience"] == audience


@pytest.mark.fails_when(
    predicted('"appId": "00000000-0000-4000-8000-0000000000f1"', '"appId": ""', "several-tenants"),
    template(ENTRA, "delegatedPermissionIds: [scopeId]", "delegatedPermissionIds: []", "several-tenants"),
)
def test_users_of_the_frontends_need_no_further_consent(project: Project) -> None:
    for azure in registered(project):
        api = azure.one(APPLICATION)["properties"]["api"]
        (scope,) = api["oauth2PermissionScopes"]
        frontends = ("00000000-0000-4000-8000-0000000000f1", "00000000-0000-4000-8000-0000000000f2")
        assert api["preAuthorizedApplications"] == [
            {"appId": frontend, "delegatedPermissionIds": [scope["id"]]}
            for frontend in frontends
            if azure.name == "several-tenants"
        ]


@pytest.mark.fails_when(
    predicted("{0}/api/consent/callback", "{0}/api/callback"),
    predicted('"web": {', '"spa": {"redirectUris": []}, "web": {'),
    template("main.bicep", "/api/consent/callback", "/api/callback"),
    template(ENTRA, "web: { redirectUris", "spa: { redirectUris"),
)
def test_the_browser_is_redirected_only_to_the_callback(project: Project) -> None:
    for azure in registered(project):
        application = azure.one(APPLICATION)["properties"]
        base = azure.settings["PUBLIC_BASE_URL"].strip("[]")
        assert at(application, "web.redirectUris") == [f"[format('{{0}}/api/consent/callback', {base})]"]
        assert application.keys() & {"spa", "publicClient"} == set()
    own = project.predictions["own-registration"]
    assert own.outputs["REDIRECT_URI"] == "https://mail.contoso.com/api/consent/callback"


@pytest.mark.fails_when(
    predicted('/managed-identity"', '"'),
    predicted('/v2.0"', '/v2.0/"'),
    predicted('"subject": "[reference(', '"subject": "[x('),
    predicted('"api://AzureADTokenExchange"', '"api://AzureADTokenExchangeUSGov"'),
    template(ENTRA, "/v2.0'", "/v2.0/'"),
    template(ENTRA, "subject: identityPrincipalId", "subject: uniqueName"),
    template("clouds.json", 'api://AzureADTokenExchange"', 'api://AzureADTokenExchangeUSGov"'),
)
def test_the_managed_identity_is_the_credential(project: Project) -> None:
    """Entra accepts any values here; wrong ones fail at the first token."""
    for azure in registered(project):
        identity = azure.one("Microsoft.ManagedIdentity/userAssignedIdentities")["id"]
        credential = azure.one(CREDENTIAL)["properties"]
        unique_name = azure.one(APPLICATION)["properties"]["uniqueName"]
        assert credential["name"] == f"{unique_name}/managed-identity"
        assert credential["audiences"] == ["api://AzureADTokenExchange"]
        assert credential["issuer"] == f"https://login.microsoftonline.com/{TENANT}/v2.0"
        assert credential["subject"].startswith("[reference(")
        assert credential["subject"].endswith(".principalId]")
        assert references(credential["subject"]) == {identity}


@pytest.mark.fails_when(
    file("infra/modules/entra.bicep", "'${registration.uniqueName}/managed", "'${uniqueName}/managed")
)
def test_the_credential_is_created_after_its_registration(project: Project, bicep: Bicep) -> None:
    """Without a reference Graph responds with "Error in query syntax".

    The name of the credential must refer to its registration.
    """
    entra = resources_of(project.compiled(bicep))["entra"]["properties"]["template"]
    (credential,) = [item for item in resources_of(entra).values() if item["type"].startswith(CREDENTIAL)]

    assert "registration" in credential.get("dependsOn", [])


@pytest.mark.fails_when(
    file(CLOUD_TABLE, "AzureADTokenExchangeUSGov", "AzureADTokenExchange"),
    file(CLOUD_TABLE, "partner.microsoftonline.cn", "microsoftonline.cn"),
    interface('"usdod"', '"dod"'),
    parameter("'usgov', 'usdod',", "'usgov',"),
)
def test_clouds_are_those_of_the_code(project: Project) -> None:
    assert json.loads(project.files[CLOUD_TABLE]) == {
        name: {"authorityHost": cloud.authority_host, "tokenExchangeAudience": cloud.token_exchange_audience}
        for name, cloud in CLOUDS.items()
    }
    assert set(project.interface.parameters["microsoftCloud"]["allowedValues"]) == CLOUDS.keys()


@pytest.mark.fails_when(
    predicted('"00000000-0000-4000-8000-0000000000a7"', "", "several-tenants"),
    predicted('"relationshipSemantics": "append"', '"relationshipSemantics": "replace"', "several-tenants"),
    template(ENTRA, "  owners: owners\n}", "}", "several-tenants"),
    template(ENTRA, "  owners: owners\n  identifierUris", "  identifierUris", "several-tenants"),
    template(ENTRA, "relationshipSemantics: 'append'", "relationshipSemantics: 'replace'", "several-tenants"),
)
def test_further_deployers_own_the_registration_and_enterprise_application(project: Project) -> None:
    """Application.ReadWrite.OwnedBy can change only owned applications.

    Owners that were added elsewhere are kept.
    """
    owners = {
        azure.name: [
            at(azure.one(kind), "properties.owners")
            for kind in (APPLICATION, "Microsoft.Graph/servicePrincipals")
        ]
        for azure in registered(project)
    }
    listed = {"relationships": ["00000000-0000-4000-8000-0000000000a7"], "relationshipSemantics": "append"}

    assert owners.pop("several-tenants") == [listed, listed]
    assert owners == {name: [listed | {"relationships": []}] * 2 for name in owners}
