import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.consent.custody import Custody
from shared.errors import ConsentRequiredError, TransientError
from shared.ports import Issued
from shared.settings import journey as settings_journey
from shared.settings.health import note_failure
from shared.settings.tenant import Account, Status
from tests.builders import a_consent, enabled_services
from tests.calls import call
from tests.fakes import CONTOSO, FABRIKAM, NOON, FakeEntra, FakeServices, MemoryVault

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


def test_a_new_token_for_a_refused_one_mends_no_lost_consent(ports: FakeServices) -> None:
    refused = ports.tokens.get(CONTOSO, a_consent())
    note_failure(ports.settings, CONTOSO, 1, LOST, ports.world)

    ports.tokens.get(CONTOSO, a_consent(), refused=refused)
    assert ports.settings.load(CONTOSO).status is Status.RECONNECT_NEEDED

    ports.tokens.get(CONTOSO, a_consent(), fresh=True)
    assert ports.settings.load(CONTOSO).status is Status.ENABLED


def test_mails_whose_same_token_was_refused_get_one_new_one(ports: FakeServices) -> None:
    refused = ports.tokens.get(CONTOSO, a_consent())

    tokens = {ports.tokens.get(CONTOSO, a_consent(), refused=refused) for _ in range(4)}

    assert tokens == {"access-2"}
    assert ports.authorizer.refreshed == ["tokens", "tokens+"]


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

    custody = Custody(ports.vault, Slow(ports.world), ports.settings, ports.world)
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


def test_while_entra_is_away_nothing_is_lost(ports: FakeServices) -> None:
    ports.authorizer.fail.append(TransientError("entra_unavailable"))

    with pytest.raises(TransientError):
        ports.tokens.get(CONTOSO, a_consent())

    assert ports.tokens.get(CONTOSO, replace(a_consent())) == "access-1"


def test_a_good_refresh_is_noted_and_ends_a_problem(ports: FakeServices) -> None:
    note_failure(ports.settings, CONTOSO, 1, LOST, ports.world)
    ports.world.pass_time(timedelta(hours=3))

    ports.tokens.get(CONTOSO, a_consent())

    settings = ports.settings.load(CONTOSO)
    assert (settings.status, settings.problem) == (Status.ENABLED, None)
    assert settings.consent == a_consent(refreshed_at=NOON + timedelta(hours=3))


def test_within_a_week_the_kept_tokens_stay_as_they_are(ports: FakeServices) -> None:
    ports.world.pass_time(timedelta(days=7) - timedelta(seconds=1))

    ports.tokens.get(CONTOSO, a_consent())

    assert ports.vault.secrets == {f"smtp-{CONTOSO}-1": "tokens"}


def test_after_a_week_the_newest_tokens_are_kept(ports: FakeServices) -> None:
    ports.world.pass_time(timedelta(days=7))

    ports.tokens.get(CONTOSO, a_consent())

    assert ports.vault.secrets == {f"smtp-{CONTOSO}-1": "tokens+"}
    assert ports.settings.load(CONTOSO).consent == a_consent(
        refreshed_at=NOON + timedelta(days=7), stored_at=NOON + timedelta(days=7)
    )


def test_a_reset_before_the_newest_tokens_are_written_wins(ports: FakeServices) -> None:
    ports.world.pass_time(timedelta(days=7))
    call(settings_journey.reset_settings, ports)
    ports.vault.secrets["smtp-kept-by-mistake"] = "tokens"

    ports.tokens.get(CONTOSO, a_consent(secret_name="smtp-kept-by-mistake"))

    assert ports.vault.secrets == {"smtp-kept-by-mistake": "tokens"}


def test_a_reset_while_the_newest_tokens_are_written_leaves_none(ports: FakeServices) -> None:
    class Slow(MemoryVault):
        def write(self, name: str, tokens: str) -> None:
            call(settings_journey.reset_settings, ports)
            super().write(name, tokens)

    vault = ports.vault = Slow(ports.vault.secrets)
    custody = Custody(vault, ports.authorizer, ports.settings, ports.world)
    ports.world.pass_time(timedelta(days=7))

    custody.get(CONTOSO, a_consent())

    assert vault.secrets == {}
    assert ports.settings.load(CONTOSO).consent is None


def test_tokens_that_can_not_be_written_now_do_not_keep_a_mail_waiting(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(MemoryVault):
        def write(self, name: str, tokens: str) -> None:
            raise TransientError("key_vault_unavailable")

    custody = Custody(Full(ports.vault.secrets), ports.authorizer, ports.settings, ports.world)
    ports.world.pass_time(timedelta(days=7))

    assert custody.get(CONTOSO, a_consent()) == "access-1"
    assert "key_vault_unavailable" in caplog.text
    consent = ports.settings.load(CONTOSO).consent
    assert consent is not None
    assert consent.stored_at == NOON


def test_while_entra_is_away_a_token_is_used_to_its_end(ports: FakeServices) -> None:
    ports.tokens.get(CONTOSO, a_consent())
    ports.authorizer.fail += [TransientError("entra_unavailable")] * 2

    ports.world.pass_time(timedelta(minutes=59))
    assert ports.tokens.get(CONTOSO, a_consent()) == "access-1"
    ports.world.pass_time(timedelta(minutes=1))
    with pytest.raises(TransientError):
        ports.tokens.get(CONTOSO, a_consent())


def test_while_entra_is_away_a_token_that_graph_refused_is_not_used(ports: FakeServices) -> None:
    ports.tokens.get(CONTOSO, a_consent())
    ports.authorizer.fail.append(TransientError("entra_unavailable"))

    with pytest.raises(TransientError):
        ports.tokens.get(CONTOSO, a_consent(), fresh=True)


def test_the_app_itself_needs_no_kept_tokens(ports: FakeServices) -> None:
    consent = a_consent(account=None, secret_name=None)

    assert ports.tokens.get(CONTOSO, consent) == "access-1"
    assert ports.tokens.get(CONTOSO, consent) == "access-1"
    assert ports.authorizer.refreshed == ["app-only"]
