"""App settings: the template sets exactly what `shared/config.py` reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.infra.changes import file, predicted, template
from tests.infra.prediction import references
from tests.infra.settings import (
    AZURE_ONLY_PREFIX,
    CREDENTIALS,
    HOST_SETTINGS,
    LOCAL_ONLY,
    defaults_in_code,
    settings_in_code,
)

if TYPE_CHECKING:
    from tests.infra.project import Project

FUNCTION = "modules/function.bicep"
CONFIG = "shared/config.py"
SAMPLE = "local.settings.sample.json"
HOST_LIMITS = {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1048576", "AzureWebJobsDisableHomepage": "true"}


@pytest.mark.fails_when(
    predicted('"ADMIN_ROLE": "Workspace.Admin",', ""),
    predicted('"GRAPH_ENDPOINT": "",', '"GRAPH_URL": "",'),
    predicted('"ENTRA_CLIENT_SECRET"', '"CLIENT_SECRET"', "own-registration"),
    template(FUNCTION, "  ADMIN_ROLE: adminRole\n", ""),
    template(FUNCTION, "  GRAPH_ENDPOINT:", "  GRAPH_URL:"),
    file(CONFIG, '"ON_UNKNOWN_OUTCOME"', '"ON_UNKNOWN"'),
)
def test_the_template_sets_what_the_code_reads(project: Project) -> None:
    wanted = (settings_in_code(project) - LOCAL_ONLY - CREDENTIALS) | HOST_SETTINGS

    assert [azure.settings.keys() - CREDENTIALS ^ wanted for azure in project.predictions.values()] == [
        set() for _ in project.predictions
    ]


@pytest.mark.fails_when(
    predicted('"SMTP_PROVIDER"', '"ENTRA_CLIENT_SECRET": "", "SMTP_PROVIDER"'),
    predicted('"ENTRA_CLIENT_SECRET"', '"ENTRA_MANAGED_IDENTITY_CLIENT_ID"', "own-registration"),
    template(FUNCTION, ": identityReference\n", ": secretReference\n"),
    template(FUNCTION, "union(hostSettings, appSettings, credential)", "union(hostSettings, appSettings)"),
    template(
        "main.bicep", "param clientSecretName string = ''", "param clientSecretName string = 'a-secret'"
    ),
)
def test_one_credential_is_set_and_the_identity_is_the_default(project: Project) -> None:
    given = {name: azure.settings.keys() & CREDENTIALS for name, azure in project.predictions.items()}

    assert given == {
        "defaults": {"ENTRA_MANAGED_IDENTITY_CLIENT_ID"},
        "own-registration": {"ENTRA_CLIENT_SECRET"},
        "private-network": {"ENTRA_MANAGED_IDENTITY_CLIENT_ID"},
        "several-tenants": {"ENTRA_MANAGED_IDENTITY_CLIENT_ID"},
        "usgov": {"ENTRA_CLIENT_CERTIFICATE_PATH"},
    }


@pytest.mark.fails_when(
    predicted('"AzureWebJobsStorage__clientId"', '"AzureWebJobsStorage__client"'),
    predicted('"AzureWebJobsStorage__queueServiceUri"', '"AzureWebJobsStorage__queueUri"'),
    predicted("primaryEndpoints.queue]", "primaryEndpoints.blob]"),
    template(FUNCTION, "  AzureWebJobsStorage__clientId: identityClientId\n", ""),
    template(FUNCTION, "queueServiceUri: queueEndpoint", "queueServiceUri: blobEndpoint"),
)
def test_the_hosts_connection_is_complete(project: Project) -> None:
    """Without its type, client id or an address the triggers do not start."""
    for azure in project.predictions.values():
        account = azure.one("Microsoft.Storage/storageAccounts")["id"]
        found = {name: value for name, value in azure.settings.items() if name.startswith(AZURE_ONLY_PREFIX)}
        assert found.keys() == {
            f"AzureWebJobsStorage__{part}"
            for part in ("credential", "clientId", "blobServiceUri", "queueServiceUri", "tableServiceUri")
        }
        for service in ("blob", "queue", "table"):
            address = found[f"AzureWebJobsStorage__{service}ServiceUri"]
            assert references(address) == {account}
            assert address.endswith(f".primaryEndpoints.{service}]")


@pytest.mark.fails_when(
    predicted(
        '"AzureWebJobsStorage__credential": "managedidentity"', '"AzureWebJobsStorage__credential": ""'
    ),
    predicted("ClientId={0};Authorization=AAD", "ClientId={0};Authorization=Aad"),
    predicted(".clientId]", ".principalId]"),
    template(FUNCTION, "Authorization=AAD", "Authorization=Aad"),
    template(FUNCTION, "'managedidentity'", "'managedIdentities'"),
)
def test_the_host_and_the_app_use_the_identity(project: Project) -> None:
    """A wrong client id is accepted by Azure and fails at the first call."""
    for azure in project.predictions.values():
        identity = azure.one("Microsoft.ManagedIdentity/userAssignedIdentities")["id"]
        settings = azure.settings
        assert settings["AzureWebJobsStorage__credential"] == "managedidentity"
        telemetry = settings["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"]
        assert "'ClientId={0};Authorization=AAD'" in telemetry
        ids = [settings["AzureWebJobsStorage__clientId"], settings.get("ENTRA_MANAGED_IDENTITY_CLIENT_ID")]
        for value in [telemetry, *filter(None, ids)]:
            assert references(value) == {identity}
            assert ".clientId" in value


@pytest.mark.fails_when(
    predicted('"API_AUDIENCE": "[reference(\'registration\').appId]"', '"API_AUDIENCE": "mailer"'),
    predicted('"API_AUDIENCE": "00000000-0000-4000-8000-0000000000a1"', '"API_AUDIENCE": ""', "usgov"),
    template(FUNCTION, "API_AUDIENCE: entraClientId", "API_AUDIENCE: publicBaseUrl"),
)
def test_the_api_accepts_tokens_for_the_registration(project: Project) -> None:
    """A token of version 2 carries the client id as its audience."""
    for azure in project.predictions.values():
        assert azure.settings["API_AUDIENCE"] == azure.settings["ENTRA_CLIENT_ID"]
    assert project.predictions["defaults"].settings["ENTRA_CLIENT_ID"] == "[reference('registration').appId]"
    assert project.predictions["usgov"].settings["ENTRA_CLIENT_ID"] == "00000000-0000-4000-8000-0000000000a1"


@pytest.mark.fails_when(
    predicted("@Microsoft.KeyVault(VaultName=kv-", "@Microsoft.KeyVault(VaultName=st", "own-registration"),
    predicted(";SecretName=entra-client-secret)", ")", "own-registration"),
    template(FUNCTION, "SecretName=${clientSecretName}", "SecretName=secret", "own-registration"),
)
def test_a_client_secret_stays_in_the_vault(project: Project) -> None:
    azure = project.predictions["own-registration"]
    vault = azure.one("Microsoft.KeyVault/vaults")["name"]

    reference = f"@Microsoft.KeyVault(VaultName={vault};SecretName=entra-client-secret)"
    assert azure.settings["ENTRA_CLIENT_SECRET"] == reference


@pytest.mark.fails_when(
    predicted('"PYTHON_THREADPOOL_THREAD_COUNT": "16"', '"PYTHON_THREADPOOL_THREAD_COUNT": "8"'),
    template(FUNCTION, "THREAD_COUNT: '16'", "THREAD_COUNT: '8'"),
    file("host.json", '"newBatchThreshold": 7', '"newBatchThreshold": 15'),
)
def test_every_mail_in_flight_has_a_thread(project: Project) -> None:
    """The worker has a thread for each mail in work, and some for the API."""
    queues = json.loads(project.files["host.json"])["extensions"]["queues"]
    in_flight = queues["batchSize"] + queues["newBatchThreshold"]

    for azure in project.predictions.values():
        assert int(azure.settings["PYTHON_THREADPOOL_THREAD_COUNT"]) > in_flight


@pytest.mark.fails_when(
    file(SAMPLE, '"SMTP_PROVIDER": "Office365",', ""),
    file(SAMPLE, '"SMTP_PROVIDER"', '"MAIL_PROVIDER"'),
)
def test_the_sample_lists_every_setting(project: Project) -> None:
    values = json.loads(project.files[SAMPLE])["Values"]
    wanted = {name for name in settings_in_code(project) if not name.startswith(AZURE_ONLY_PREFIX)}

    assert values.keys() == wanted | HOST_LIMITS.keys() | {"FUNCTIONS_WORKER_RUNTIME"}


@pytest.mark.fails_when(
    file(SAMPLE, '"ENTRA_CLIENT_CERTIFICATE_PATH": ""', '"ENTRA_CLIENT_CERTIFICATE_PATH": "x"')
)
def test_the_sample_has_one_credential(project: Project) -> None:
    values = json.loads(project.files[SAMPLE])["Values"]

    assert sum(bool(values.get(name)) for name in CREDENTIALS) == 1


@pytest.mark.fails_when(
    predicted('"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1048576"', '"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "0"'),
    template(FUNCTION, "BODY_SIZE_LIMIT: '1048576'", "BODY_SIZE_LIMIT: '104857600'"),
    template(FUNCTION, "AzureWebJobsDisableHomepage: 'true'", "AzureWebJobsDisableHomepage: 'false'"),
    file(
        SAMPLE, '"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1048576"', '"FUNCTIONS_REQUEST_BODY_SIZE": "1048576"'
    ),
)
def test_the_host_refuses_bodies_over_1_mb_and_has_no_home_page(project: Project) -> None:
    """The host copies a body four times; four of 100 MB end an instance.

    100 MB is its default limit.
    """
    sample = json.loads(project.files[SAMPLE])["Values"]

    for settings in (sample, *(azure.settings for azure in project.predictions.values())):
        assert {name: settings.get(name) for name in HOST_LIMITS} == HOST_LIMITS


@pytest.mark.fails_when(
    predicted('"REQUIRED_API_SCOPE": "settings"', '"REQUIRED_API_SCOPE": ""'),
    predicted(
        '"REQUIRED_API_SCOPE": "access_as_user"', '"REQUIRED_API_SCOPE": "settings"', "own-registration"
    ),
    predicted("0000000000f1,", "0000000000f9,", "several-tenants"),
    template("modules/entra.bicep", "value: 'settings'", "value: 'administer'"),
    file(CONFIG, 'env.word("REQUIRED_API_SCOPE", "settings")', 'env.word("REQUIRED_API_SCOPE", "manage")'),
)
def test_the_api_requires_the_scope_that_the_registration_declares(project: Project) -> None:
    required = {name: azure.settings["REQUIRED_API_SCOPE"] for name, azure in project.predictions.items()}
    clients = {name: azure.settings["ALLOWED_CLIENT_IDS"] for name, azure in project.predictions.items()}

    assert required.pop("own-registration") == "access_as_user"
    assert set(required.values()) == {"settings"} == {defaults_in_code(project)["REQUIRED_API_SCOPE"]}
    for azure in project.predictions.values():
        for registration in azure.all("Microsoft.Graph/applications"):
            (scope,) = registration["properties"]["api"]["oauth2PermissionScopes"]
            assert scope["value"] == azure.settings["REQUIRED_API_SCOPE"]
    assert clients.pop("several-tenants") == (
        "00000000-0000-4000-8000-0000000000f1,00000000-0000-4000-8000-0000000000f2"
    )
    assert set(clients.values()) == {""}
