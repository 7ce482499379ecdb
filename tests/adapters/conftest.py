"""Fixtures with fake Entra, vault and Azurite for tests of the adapters."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from shared.client_credential import ClientSecret
from shared.config import AppConfig
from shared.storage_names import API_VERSION, CONTAINERS, QUEUES, TABLES, TENANT_SETTINGS
from tests.fakes import CONFIG
from tests.local_stack.azurite import Azurite
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.fixtures import ServedIdentity, ServedMicrosoft365, ServedVault
from tests.local_stack.microsoft365.behaviour import Behaviour
from tests.local_stack.microsoft365.contoso import CLIENT_ID, CLIENT_SECRET, CONTOSO

BASE_URL = "https://mailer.example.test"


@pytest.fixture
def trust_authority(local_authority: LocalAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every HTTP client trust this run's certificate authority."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(local_authority.bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(local_authority.bundle))


@pytest.fixture
def office(microsoft365: ServedMicrosoft365, trust_authority: None) -> Iterator[ServedMicrosoft365]:
    """Microsoft 365 in its initial state: no consents, no faults."""
    system = microsoft365.system
    before = system.directory.app(CLIENT_ID)
    assert before is not None
    system.directory.change_app(CLIENT_ID, redirect_uris=(f"{BASE_URL}/api/consent/callback",))
    yield microsoft365
    system.directory.add(before)
    system.faults.clear()
    system.requests.clear()
    system.clock.reset()
    vars(system.behaviour).update(vars(Behaviour()))
    system.consents.clear()


@pytest.fixture
def config(office: ServedMicrosoft365) -> AppConfig:
    return replace(
        CONFIG,
        entra_tenant_id=CONTOSO,
        entra_client_id=CLIENT_ID,
        credential=ClientSecret(CLIENT_SECRET),
        authority_host=office.entra,
        graph_endpoint=office.graph,
        allowed_tenant_ids=frozenset({CONTOSO}),
        api_audience=CLIENT_ID,
        public_base_url=BASE_URL,
    )


@pytest.fixture
def environment(
    office: ServedMicrosoft365,
    key_vault: ServedVault,
    managed_identity: ServedIdentity,
    azurite: Azurite,
    config: AppConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """Provide the settings of a deployment and the resources it expects."""
    values = {
        "SMTP_PROVIDER": "Office365",
        "ENTRA_TENANT_ID": CONTOSO,
        "ENTRA_CLIENT_ID": CLIENT_ID,
        "ENTRA_CLIENT_SECRET": CLIENT_SECRET,
        "ENTRA_AUTHORITY_HOST": office.entra,
        "GRAPH_ENDPOINT": office.graph,
        "API_AUDIENCE": CLIENT_ID,
        "PUBLIC_BASE_URL": config.public_base_url,
        "FRONTEND_ORIGINS": "https://inforiver.example.test",
        "KEY_VAULT_URL": key_vault.url,
        "AzureWebJobsStorage": azurite.connection_string,
        **managed_identity.settings,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with (
        TableServiceClient.from_connection_string(azurite.connection_string) as tables,
        QueueServiceClient.from_connection_string(
            azurite.connection_string, api_version=API_VERSION
        ) as queues,
        BlobServiceClient.from_connection_string(azurite.connection_string, api_version=API_VERSION) as blobs,
    ):
        for name in TABLES:
            tables.create_table_if_not_exists(name)
        for name in set(QUEUES) - {queue.name for queue in queues.list_queues()}:
            queues.create_queue(name)
        for name in set(CONTAINERS) - {container.name for container in blobs.list_containers()}:
            blobs.create_container(name)
        yield
        tables.get_table_client(TENANT_SETTINGS).delete_entity(CONTOSO, "smtp")
        for name in list(key_vault.vault.secrets):
            key_vault.vault.secrets.delete(name)
            key_vault.vault.secrets.purge(name)
