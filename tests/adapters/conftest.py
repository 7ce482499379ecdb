"""The fake Entra, vault and Azurite as the adapters are told of them: by settings and the CA of this run."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.config import AppConfig, ClientSecret
from tests.fakes import CONFIG
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.fixtures import ServedMicrosoft365
from tests.local_stack.microsoft365.behaviour import Behaviour
from tests.local_stack.microsoft365.contoso import CLIENT_ID, CLIENT_SECRET, CONTOSO

BASE_URL = "https://mailer.example.test"


@pytest.fixture
def trusted(local_authority: LocalAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every HTTP client believe this run's certificate authority."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(local_authority.bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(local_authority.bundle))


@pytest.fixture
def office(microsoft365: ServedMicrosoft365, trusted: None) -> Iterator[ServedMicrosoft365]:
    """Microsoft 365 as it was founded: nobody consented, nothing is broken."""
    world = microsoft365.world
    before = world.directory.app(CLIENT_ID)
    assert before is not None
    world.directory.change_app(CLIENT_ID, redirect_uris=(f"{BASE_URL}/api/consent/callback",))
    yield microsoft365
    world.directory.add(before)
    world.faults.clear()
    world.requests.clear()
    world.clock.reset()
    vars(world.behaviour).update(vars(Behaviour()))
    world.consents.revoke_application(CLIENT_ID, CONTOSO)
    for address in ("ada@contoso.com", "uma@contoso.com", "*@contoso.com"):
        world.revoke_consent(address)


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
