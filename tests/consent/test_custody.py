import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import ConsentRequiredError, TransientError
from shared.ports import Issued
from shared.settings.tenant import Account
from tests.builders import a_consent, enabled_services
from tests.fakes import CONTOSO, FABRIKAM, FakeEntra, FakeServices

LOST = ConsentRequiredError("consent_lost", account="ada@contoso.com", error="AADSTS50173")


@pytest.fixture
def ports() -> FakeServices:
    return enabled_services()


def test_a_token_is_fetched_once_and_then_held_in_memory(ports: FakeServices) -> None:
    first = ports.tokens.get(CONTOSO, a_consent())
    ports.vault.fail.append(AssertionError("the vault was asked again"))
    second = ports.tokens.get(CONTOSO, a_consent())

    assert first == second == "access-1"
    assert ports.authorizer.refreshed == ["tokens"]


def test_a_token_that_could_end_while_graph_reads_the_mail_is_renewed(ports: FakeServices) -> None:
    ports.tokens.get(CONTOSO, a_consent())

    ports.world.pass_time(timedelta(minutes=54))
    assert ports.tokens.get(CONTOSO, a_consent()) == "access-1"
    ports.world.pass_time(timedelta(minutes=1))
    assert ports.tokens.get(CONTOSO, a_consent()) == "access-2"


def test_the_newest_refresh_token_is_used_next(ports: FakeServices) -> None:
    ports.tokens.get(CONTOSO, a_consent())
    ports.tokens.get(CONTOSO, a_consent(), fresh=True)

    assert ports.authorizer.refreshed == ["tokens", "tokens+"]


def test_a_token_that_graph_refused_is_not_given_again(ports: FakeServices) -> None:
    ports.tokens.get(CONTOSO, a_consent())

    assert ports.tokens.get(CONTOSO, a_consent(), fresh=True) == "access-2"


def test_after_a_new_consent_the_old_accounts_token_is_not_used(ports: FakeServices) -> None:
    ports.tokens.get(CONTOSO, a_consent())
    ports.vault.write("new", "new-tokens")

    ports.tokens.get(CONTOSO, a_consent(generation=2, secret_name="new"))

    assert ports.authorizer.refreshed == ["tokens", "new-tokens"]


def test_twenty_threads_refresh_once(ports: FakeServices) -> None:
    together = threading.Barrier(20)

    def get(_: int) -> str:
        together.wait(10)
        return ports.tokens.get(CONTOSO, a_consent())

    with ThreadPoolExecutor(20) as threads:
        tokens = set(threads.map(get, range(20)))

    assert tokens == {"access-1"}
    assert ports.authorizer.refreshed == ["tokens"]


def test_one_tenants_slow_refresh_keeps_no_other_waiting(ports: FakeServices) -> None:
    asked, go_on = threading.Event(), threading.Event()

    class Slow(FakeEntra):
        def refresh(self, tenant_id: str, tokens: str, account: Account, scopes: Iterable[str]) -> Issued:
            if tenant_id == CONTOSO:
                asked.set()
                assert go_on.wait(10)
            return super().refresh(tenant_id, tokens, account, scopes)

    custody = type(ports.tokens)(ports.vault, Slow(ports.world), ports.world)
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(custody.get, CONTOSO, a_consent())
        assert asked.wait(10)
        assert custody.get(FABRIKAM, a_consent())
        go_on.set()
        assert slow.result(10)


def test_refused_tokens_are_read_again_once_because_somebody_may_have_renewed_them(
    ports: FakeServices,
) -> None:
    ports.tokens.get(CONTOSO, a_consent())
    ports.vault.write(f"smtp-{CONTOSO}-1", "renewed-by-another-process")
    ports.authorizer.fail.append(LOST)

    assert ports.tokens.get(CONTOSO, a_consent(), fresh=True) == "access-2"
    assert ports.authorizer.refreshed[-1] == "renewed-by-another-process"


def test_tokens_that_are_refused_as_they_are_kept_are_a_lost_consent(ports: FakeServices) -> None:
    ports.authorizer.fail.append(LOST)

    with pytest.raises(ConsentRequiredError) as refused:
        ports.tokens.get(CONTOSO, a_consent())

    assert refused.value.code == "consent_lost"
    assert ports.authorizer.refreshed == []


def test_renewed_tokens_that_are_refused_too_are_a_lost_consent(ports: FakeServices) -> None:
    ports.tokens.get(CONTOSO, a_consent())
    ports.vault.write(f"smtp-{CONTOSO}-1", "renewed-by-another-process")
    ports.authorizer.fail += [LOST, LOST]

    with pytest.raises(ConsentRequiredError):
        ports.tokens.get(CONTOSO, a_consent(), fresh=True)


@pytest.mark.parametrize("name", [None, "gone"])
def test_tokens_that_are_not_there_are_a_lost_consent(ports: FakeServices, name: str | None) -> None:
    with pytest.raises(ConsentRequiredError) as refused:
        ports.tokens.get(CONTOSO, a_consent(secret_name=name))

    assert refused.value.facts == {"account": "ada@contoso.com", "error": "tokens_not_found"}


def test_a_consent_without_an_account_has_no_tokens_to_refresh(ports: FakeServices) -> None:
    with pytest.raises(ConsentRequiredError) as refused:
        ports.tokens.get(CONTOSO, a_consent(account=None))

    assert refused.value.code == "consent_missing"


def test_while_entra_is_away_nothing_is_lost(ports: FakeServices) -> None:
    ports.authorizer.fail.append(TransientError("entra_unavailable"))

    with pytest.raises(TransientError):
        ports.tokens.get(CONTOSO, a_consent())

    assert ports.tokens.get(CONTOSO, replace(a_consent())) == "access-1"
