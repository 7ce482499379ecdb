"""A managed identity endpoint that is busy, broken, slow or refuses."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from azure.data.tables import TableServiceClient

from shared.adapters import managed_identity as adapter
from shared.adapters.credentials import azure_credential, msal_credential
from shared.adapters.entra import EntraAuthority
from shared.adapters.key_vault import KeyVaultTokenStore
from shared.adapters.managed_identity import AppServiceIdentity
from shared.adapters.table_storage import STORAGE_OPTIONS
from shared.client_credential import FederatedIdentity
from shared.errors import ConfigurationError, TransientError
from shared.system import RealSystem
from tests.fakes import INSTALLATION
from tests.local_stack.clients import wait_for
from tests.local_stack.faults import Fault
from tests.local_stack.microsoft365.contoso import CONTOSO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.config import AppConfig
    from tests.local_stack.fixtures import ServedIdentity, ServedVault
    from tests.local_stack.managed_identity import ManagedIdentity

VAULT_SCOPE = "https://vault.azure.net/.default"
ALWAYS = 99


@pytest.fixture
def identity(managed_identity: ServedIdentity, monkeypatch: pytest.MonkeyPatch) -> Iterator[ManagedIdentity]:
    for name, value in managed_identity.settings.items():
        monkeypatch.setenv(name, value)
    identity = managed_identity.identity
    usual = identity.lifetime
    yield identity
    identity.faults.clear()
    identity.lifetime = usual


#: Each is a response of which App Service's endpoint has been reported or may be expected.
COULD_NOT_ASK = [
    Fault(0),
    Fault(404),
    Fault(408),
    Fault(410),
    Fault(429, retry_after="60"),
    Fault(500),
    Fault(500, body=""),
    Fault(500, body="<html>", content_type="text/html"),
    Fault(502, body="Bad Gateway", content_type="text/plain"),
    Fault(503),
    Fault(504),
    Fault(302, body=""),
    Fault(200, body=""),
    Fault(200, body="<html>", content_type="text/html"),
    Fault(200, body="[]"),
    Fault(200, body="null"),
    Fault(200, body="{}"),
    Fault(200, body='{"access_token": "t", "expires_on": "11/30/2026 10:00:00 AM +00:00"}'),
    Fault(200, body='{"access_token": "t", "expires_on": null}'),
    Fault(200, body='{"access_token": "t", "expires_on": "1000"}'),
    Fault(200, body='{"access_token": "t", "expires_on": {}}'),
    Fault(200, body='{"access_token": "t", "expires_on": Infinity}'),
    Fault(200, body='{"access_token": "t", "expires_on": ' + "[" * 100_000 + "]" * 100_000 + "}"),
]


@pytest.mark.parametrize("fault", COULD_NOT_ASK, ids=lambda fault: f"{fault.status} {fault.body}"[:80])
def test_an_endpoint_without_a_token_is_called_again(
    fault: Fault, identity: ManagedIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_RETRIES", 0)
    identity.faults.add(fault)

    with pytest.raises(TransientError) as waited:
        azure_credential(None).get_token(VAULT_SCOPE)
    assert waited.value.code == "identity_unavailable"


@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_endpoint_that_refuses_is_an_operator_error(status: int, identity: ManagedIdentity) -> None:
    identity.faults.add(Fault(status))

    with pytest.raises(ConfigurationError) as refused:
        azure_credential("11111111-1111-4111-8111-111111111111").get_token(VAULT_SCOPE)
    assert refused.value.code == "identity_refused"
    assert refused.value.params == {"identity": "11111111-1111-4111-8111-111111111111"}


def test_a_request_with_one_bad_response_is_repeated_at_once(identity: ManagedIdentity) -> None:
    identity.faults.add(Fault(500))

    token = azure_credential(None).get_token(VAULT_SCOPE).token

    assert identity.verify(token, "https://vault.azure.net")


def test_an_endpoint_that_hangs_is_given_up(
    identity: ManagedIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_RETRIES", 0)
    monkeypatch.setattr(adapter, "_READ_SECONDS", 0.1)
    identity.faults.add(Fault(200, delay=0.5))

    with pytest.raises(TransientError, match="identity_unavailable"):
        azure_credential(None).get_token(VAULT_SCOPE)


def test_a_token_that_is_valid_is_used_while_the_endpoint_fails(identity: ManagedIdentity) -> None:
    credential = AppServiceIdentity(None)
    first = credential.get_token(VAULT_SCOPE).token
    identity.faults.add(Fault(500, times=ALWAYS))

    assert credential.get_token_info(VAULT_SCOPE).token == first


def test_an_endpoint_that_hangs_gets_three_calls_of_ten_seconds(
    identity: ManagedIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (adapter._CONNECT_SECONDS, adapter._READ_SECONDS, adapter._RETRIES) == (5, 10, 2)
    monkeypatch.setattr(adapter, "_READ_SECONDS", 0.1)
    identity.faults.add(Fault(200, delay=0.5, times=ALWAYS))
    before = len(identity.requests)

    with pytest.raises(TransientError, match="identity_unavailable"):
        azure_credential(None).get_token(VAULT_SCOPE)
    assert len(identity.requests) == before + 3


#: From half of a day's lifetime on a new token is requested.
AGING = 43_200 + 60


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    real = time.time

    def move(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: real() + seconds)

    return move


@pytest.mark.parametrize("fault", [Fault(0), Fault(200, body=""), Fault(429), Fault(503)], ids=str)
def test_an_aging_token_is_used_without_waiting_for_a_failing_endpoint(
    fault: Fault,
    identity: ManagedIdentity,
    pass_time: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapter, "_RETRIES", 0)
    credential = AppServiceIdentity(None)
    first = credential.get_token(VAULT_SCOPE).token
    identity.faults.add(replace(fault, times=ALWAYS))
    before = len(identity.requests)

    pass_time(AGING)
    assert {credential.get_token(VAULT_SCOPE).token for _ in range(5)} == {first}
    assert len(identity.requests) == before + 1
    pass_time(AGING + 500)
    assert {credential.get_token(VAULT_SCOPE).token for _ in range(5)} == {first}
    assert len(identity.requests) == before + 1
    pass_time(AGING + 601)
    assert {credential.get_token(VAULT_SCOPE).token for _ in range(5)} == {first}
    assert len(identity.requests) == before + 2
    identity.faults.clear()
    pass_time(AGING + 1202)
    assert credential.get_token(VAULT_SCOPE).token != first


def test_a_token_is_used_to_its_last_moment_while_the_endpoint_fails(
    identity: ManagedIdentity, pass_time: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_RETRIES", 0)
    identity.lifetime = 240
    credential = AppServiceIdentity(None)
    first = credential.get_token(VAULT_SCOPE).token
    identity.faults.add(Fault(500, times=ALWAYS))

    for seconds in (0, 100, 200):
        pass_time(seconds)
        assert credential.get_token_info(VAULT_SCOPE).token == first
    pass_time(220)
    with pytest.raises(TransientError, match="identity_unavailable"):
        credential.get_token(VAULT_SCOPE)


def test_while_one_call_requests_a_new_token_the_others_use_the_old_one(
    identity: ManagedIdentity, pass_time: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_RETRIES", 0)
    credential = AppServiceIdentity(None)
    first = credential.get_token(VAULT_SCOPE).token
    identity.faults.add(Fault(500, delay=1.0, times=ALWAYS))
    before = len(identity.requests)
    pass_time(AGING)

    with ThreadPoolExecutor(8) as threads:
        pending = threads.submit(credential.get_token, VAULT_SCOPE)
        wait_for(lambda: len(identity.requests) > before or None, "a request to the endpoint")
        assert {credential.get_token(VAULT_SCOPE).token for _ in range(7)} == {first}
        assert pending.result(10).token == first
    assert len(identity.requests) == before + 1


def test_the_old_token_is_not_sent_after_a_challenge_for_other_claims(identity: ManagedIdentity) -> None:
    credential = AppServiceIdentity(None)
    credential.get_token(VAULT_SCOPE)
    before = len(identity.requests)

    credential.get_token(VAULT_SCOPE, claims='{"access_token": {"nbf": {"essential": true}}}')

    assert len(identity.requests) == before + 1


def test_each_resource_has_a_token_of_its_own(identity: ManagedIdentity) -> None:
    credential = AppServiceIdentity(None)
    storage = "https://storage.azure.com"

    assert identity.verify(credential.get_token(VAULT_SCOPE).token, "https://vault.azure.net")
    assert identity.verify(credential.get_token(f"{storage}/.default").token, storage)


def test_the_tries_are_not_multiplied_by_those_of_storage(
    identity: ManagedIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_RETRIES", 0)
    identity.faults.add(Fault(500, times=ALWAYS))
    before = len(identity.requests)
    service = TableServiceClient("https://127.0.0.1:9", credential=azure_credential(None), **STORAGE_OPTIONS)

    with pytest.raises(TransientError, match="identity_unavailable"):
        service.create_table("tenantSettings")
    assert len(identity.requests) == before + 1


def test_an_unreachable_vault_is_no_refusal(
    key_vault: ServedVault, trust_authority: None, identity: ManagedIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_RETRIES", 0)
    identity.faults.add(Fault(500))
    store = KeyVaultTokenStore(key_vault.url, INSTALLATION, azure_credential(None))

    with pytest.raises(TransientError, match="identity_unavailable"):
        store.read("smtp-1")


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (Fault(500), TransientError, "identity_unavailable"),
        (Fault(429), TransientError, "identity_unavailable"),
        (Fault(400), ConfigurationError, "identity_refused"),
    ],
    ids=str,
)
def test_an_unavailable_assertion_is_no_refused_credential(
    fault: Fault,
    kind: type[Exception],
    code: str,
    config: AppConfig,
    identity: ManagedIdentity,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapter, "_RETRIES", 0)
    identity.faults.add(fault)
    proof = msal_credential(FederatedIdentity(identity.user_assigned.client_id, "api://AzureADTokenExchange"))

    with pytest.raises(kind, match=code):
        EntraAuthority(config, proof, RealSystem()).app_only(CONTOSO)


def test_without_the_endpoint_the_app_has_no_assertion(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.delenv(name, raising=False)

    proof = msal_credential(FederatedIdentity("client-id", "api://AzureADTokenExchange"))

    assert isinstance(proof, dict)
    assert not isinstance(proof["client_assertion"].args[0], AppServiceIdentity)
