"""Parts of the local stack as fixtures, started once and on demand."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.local_stack.azurite import Azurite
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.clients import Admin, delete_schedules
from tests.local_stack.key_vault import KeyVault
from tests.local_stack.loopback import AZURE_HOST
from tests.local_stack.managed_identity import ManagedIdentity
from tests.local_stack.microsoft365 import Microsoft365
from tests.local_stack.microsoft365.contoso import ADA
from tests.local_stack.serving import serve
from tests.local_stack.stack import QUICK, LocalStack

TENANT_ID = "3f5a1c1e-7d0b-4e59-9d2a-6f1f5f2f7b11"


@dataclass(frozen=True)
class ServedIdentity:
    """A managed identity endpoint; `settings` are App Service's variables."""

    identity: ManagedIdentity
    settings: dict[str, str]


@dataclass(frozen=True)
class ServedVault:
    """A key vault behind TLS, for the tokens of the served identity."""

    vault: KeyVault
    url: str


@dataclass(frozen=True)
class ServedMicrosoft365:
    """A Microsoft 365 behind TLS; the addresses are origins."""

    system: Microsoft365
    entra: str
    graph: str
    outlook: str


@pytest.fixture(scope="session")
def local_authority(tmp_path_factory: pytest.TempPathFactory) -> LocalAuthority:
    return LocalAuthority.create(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    with Azurite() as running:
        yield running


@pytest.fixture(scope="session")
def managed_identity() -> Iterator[ServedIdentity]:
    identity = ManagedIdentity(TENANT_ID)
    with serve(identity.app()) as server:
        yield ServedIdentity(identity, identity.environment(server.url))


@pytest.fixture(scope="session")
def key_vault(managed_identity: ServedIdentity, local_authority: LocalAuthority) -> Iterator[ServedVault]:
    vault = KeyVault(managed_identity.identity)
    with serve(vault.app(), local_authority.server_context()) as server:
        yield ServedVault(vault, server.url)


@pytest.fixture(scope="session")
def microsoft365(local_authority: LocalAuthority) -> Iterator[ServedMicrosoft365]:
    system = Microsoft365()
    tls = local_authority.server_context()
    with (
        serve(system.entra_app(), tls) as entra,
        serve(system.graph_app(), tls) as graph,
        serve(system.outlook_app(), tls) as outlook,
    ):
        system.at(entra=entra.url, graph=graph.url, outlook=outlook.url)
        yield ServedMicrosoft365(system, entra.url, graph.url, outlook.url)


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    # Cookies get a Domain there, as on Azure.
    with LocalStack(api_host=AZURE_HOST, settings=QUICK) as running:
        yield running


@pytest.fixture
def admin(stack: LocalStack) -> Iterator[Admin]:
    """Give Ada an unconfigured tenant without consents; reset it afterwards."""
    system = stack.microsoft365
    system.consents.clear()
    system.mailboxes.clear()
    delete_schedules(stack.azurite.connection_string)
    ada = Admin(stack.api_url, system.api_token(ADA), stack.authority.ca_file)
    ada.call("POST", "tenant-settings/smtp/reset")
    yield ada
    ada.call("POST", "tenant-settings/smtp/reset")
    system.faults.clear()
    ada.close()
