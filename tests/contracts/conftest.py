"""The real endpoints of the contracts: Azurite tables and fake Key Vault."""

from collections.abc import Iterator

import pytest
from azure.core.credentials import TokenCredential
from azure.data.tables import TableServiceClient

from shared.adapters.table_storage import table_service
from shared.config import StorageConfig
from shared.storage_names import TABLES
from tests.local_stack.azurite import Azurite
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.fixtures import ServedIdentity

type Tables = TableServiceClient


@pytest.fixture(scope="session")
def tables(azurite: Azurite) -> Iterator[Tables]:
    with table_service(StorageConfig(azurite.connection_string), _no_credential) as service:
        for name in TABLES:
            service.create_table_if_not_exists(name)
        yield service


def _no_credential() -> TokenCredential:
    raise AssertionError("a connection string needs no credential")


@pytest.fixture
def with_identity(
    managed_identity: ServedIdentity, local_authority: LocalAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Have this process be an app with a managed identity."""
    for name, value in managed_identity.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(local_authority.bundle))
