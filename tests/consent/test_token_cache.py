import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.api import settings as settings_journey
from shared.consent.errors import EntraUnavailableError
from shared.consent.ports import AccessToken
from shared.consent.token_cache import AccessTokenCache
from shared.errors import (
    ConfigurationError,
    ConflictError,
    ConsentRequiredError,
    NothingSentError,
    TransientError,
)
from shared.settings.sender import sender_of
from shared.settings.tenant import Account, Status
from shared.settings.update import record_sender_failure
from tests.api_client import call, read_settings
from tests.builders import a_consent, enabled_services
from tests.fakes import CONFIG, CONTOSO, FABRIKAM, NOON, FakeEntra, FakeServices, FakeSystem, MemoryVault

LOST = ConsentRequiredError("consent_lost", account="ada@contoso.com", error="AADSTS50173")


@pytest.fixture
def ports() -> FakeServices:
    return enabled_services()


def test_a_token_is_fetched_once_and_then_held_in_memory(ports: FakeServices) -> None:
    first = ports.tokens.get(CONTOSO, a_consent())
    ports.vault.fail.append(AssertionError("the vault was called again"))
    second = ports.tokens.get(CONTOSO, a_consent())

    assert first == second == "access-1"
    assert ports.authorizer.refreshed == ["tokens"]


def test_a_token_that_could_end_while_graph_reads_the_mail_is_renewed(ports: FakeServices) -> None:
    ports.tokens.get(CONTOSO, a_consent())

    ports.system.pass_time(timedelta(minutes=54))
    assert ports.tokens.get(CONTOSO, a_consent()) == "access-1"
    ports.system.pass_time(timedelta(minutes=1))
    assert ports.tokens.get(CONTOSO, a_consent()) == "access-2"


def test_the_newest_refresh_token_is_used_next(ports: FakeServices) -> None:
    ports.tokens.get(CONTOSO, a_consent())
    ports.tokens.get(CONTOSO, a_consent(), fresh=True)

    assert ports.authorizer.refreshed == ["tokens", "tokens+"]


def test_a_token_that_graph_refused_is_not_given_again(ports: FakeServices) -> None:
    ports.tokens.get(CONTOSO, a_consent())

    assert ports.tokens.get(CONTOSO, a_consent(), fresh=True) == "access-2"


def test_a_new_token_for_a_refused_one_clears_no_lost_consent(ports: FakeServices) -> None:
    refused = ports.tokens.get(CONTOSO, a_consent())
    record_sender_failure(ports.settings, CONTOSO, 1, LOST, ports.system)

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

    ports.tokens.get(CONTOSO, a_consent(version=2, secret_name="new"))

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


def test_one_tenants_slow_refresh_does_not_delay_others(ports: FakeServices) -> None:
    requested, go_on = threading.Event(), threading.Event()

    class Slow(FakeEntra):
        def refresh(
            self,
            tenant_id: str,
            tokens: str,
            account: Account,
            scopes: Iterable[str],
            *,
            claims: str | None = None,
        ) -> AccessToken:
            if tenant_id == CONTOSO:
                requested.set()
                assert go_on.wait(10)
            return super().refresh(tenant_id, tokens, account, scopes)

    custody = AccessTokenCache(
        ports.vault, Slow(ports.system), ports.settings, ports.system, lambda: CONFIG.allowed_tenant_ids
    )
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(custody.get, CONTOSO, a_consent())
        assert requested.wait(10)
        assert custody.get(FABRIKAM, a_consent())
        go_on.set()
        assert slow.result(10)


def test_refused_tokens_are_reread_once_as_another_process_may_renew_them(
    ports: FakeServices,
) -> None:
    ports.tokens.get(CONTOSO, a_consent())
    ports.vault.write(f"smtp-{CONTOSO}-1", "renewed-by-another-process")
    ports.authorizer.fail.append(LOST)

    assert ports.tokens.get(CONTOSO, a_consent(), fresh=True) == "access-2"
    assert ports.authorizer.refreshed[-1] == "renewed-by-another-process"


def test_refused_tokens_that_equal_the_stored_ones_are_a_lost_consent(ports: FakeServices) -> None:
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

    assert refused.value.params == {"account": "ada@contoso.com", "error": "tokens_not_found"}


def test_while_entra_is_unavailable_nothing_is_lost(ports: FakeServices) -> None:
    ports.authorizer.fail.append(EntraUnavailableError())

    with pytest.raises(TransientError):
        ports.tokens.get(CONTOSO, a_consent())

    assert ports.tokens.get(CONTOSO, replace(a_consent())) == "access-1"


def test_a_good_refresh_is_noted_and_ends_a_problem(ports: FakeServices) -> None:
    record_sender_failure(ports.settings, CONTOSO, 1, LOST, ports.system)
    ports.system.pass_time(timedelta(hours=3))

    ports.tokens.get(CONTOSO, a_consent())

    settings = ports.settings.load(CONTOSO)
    assert (settings.status, settings.problem) == (Status.ENABLED, None)
    assert settings.consent == a_consent(
        refreshed_at=NOON + timedelta(hours=3), granted=frozenset({"Mail.Send"})
    )


def test_the_page_shows_an_account_by_the_name_that_it_has_now(ports: FakeServices) -> None:
    ports.authorizer.account = Account("ada-object-id", CONTOSO, "ada.lovelace@contoso.com")
    ports.tokens.get(CONTOSO, a_consent())

    renamed = ports.settings.load(CONTOSO)
    assert read_settings(ports)["consentedBy"] == "ada.lovelace@contoso.com"
    assert renamed.delegated_mailbox is False
    assert sender_of(renamed).from_field is None

    ports.authorizer.account = Account("ada-object-id", CONTOSO, "ada@contoso.com")
    ports.tokens.get(CONTOSO, a_consent(), fresh=True)
    assert read_settings(ports)["consentedBy"] == "ada@contoso.com"


def test_a_response_without_a_name_changes_no_name(ports: FakeServices) -> None:
    ports.authorizer.account = Account("ada-object-id", CONTOSO, "")
    ports.tokens.get(CONTOSO, a_consent())

    assert read_settings(ports)["consentedBy"] == "ada@contoso.com"


def test_within_a_week_the_stored_tokens_are_not_rewritten(ports: FakeServices) -> None:
    ports.system.pass_time(timedelta(days=7) - timedelta(seconds=1))

    ports.tokens.get(CONTOSO, a_consent())

    assert ports.vault.secrets == {f"smtp-{CONTOSO}-1": "tokens"}


def test_after_a_week_the_newest_tokens_are_stored(ports: FakeServices) -> None:
    ports.system.pass_time(timedelta(days=7))

    ports.tokens.get(CONTOSO, a_consent())

    assert ports.vault.secrets == {f"smtp-{CONTOSO}-1": "tokens+"}
    assert ports.settings.load(CONTOSO).consent == a_consent(
        refreshed_at=NOON + timedelta(days=7),
        stored_at=NOON + timedelta(days=7),
        granted=frozenset({"Mail.Send"}),
    )


def test_the_older_tokens_can_not_be_read_any_more_after_a_rewrite(ports: FakeServices) -> None:
    ports.system.pass_time(timedelta(days=7))
    ports.tokens.get(CONTOSO, a_consent())

    assert ports.vault.older == {}


def test_older_tokens_not_disabled_now_are_disabled_at_the_next_rewrite(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    disable = ports.vault.disable_older_versions

    def denied(_: str) -> None:
        raise ConfigurationError("key_vault_denied")

    ports.vault.disable_older_versions = denied  # type: ignore[method-assign,assignment]
    ports.system.pass_time(timedelta(days=7))
    assert ports.tokens.get(CONTOSO, a_consent()) == "access-1"
    assert "key_vault_denied" in caplog.text
    assert ports.vault.older == {f"smtp-{CONTOSO}-1": ["tokens"]}

    ports.vault.disable_older_versions = disable  # type: ignore[method-assign]
    ports.system.pass_time(timedelta(days=7))
    consent = ports.settings.load(CONTOSO).consent
    assert consent is not None
    ports.tokens.get(CONTOSO, consent)
    assert ports.vault.older == {}


def test_a_reset_before_the_newest_tokens_are_written_wins(ports: FakeServices) -> None:
    ports.system.pass_time(timedelta(days=7))
    call(settings_journey.reset_settings, ports)
    ports.vault.secrets["smtp-kept-by-mistake"] = "tokens"

    ports.tokens.get(CONTOSO, a_consent(secret_name="smtp-kept-by-mistake"))

    assert ports.vault.secrets == {"smtp-kept-by-mistake": "tokens"}


def test_a_reset_while_the_newest_tokens_are_written_leaves_none(ports: FakeServices) -> None:
    class Slow(MemoryVault):
        def write(self, name: str, tokens: str, *, new: bool = False) -> None:
            call(settings_journey.reset_settings, ports)
            super().write(name, tokens)

    vault = ports.vault = Slow(ports.vault.secrets)
    custody = AccessTokenCache(
        vault, ports.authorizer, ports.settings, ports.system, lambda: CONFIG.allowed_tenant_ids
    )
    ports.system.pass_time(timedelta(days=7))

    custody.get(CONTOSO, a_consent())

    assert vault.secrets == {}
    assert ports.settings.load(CONTOSO).consent is None


def test_tokens_that_can_not_be_written_now_do_not_delay_a_mail(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    class FailingVault(MemoryVault):
        def write(self, name: str, tokens: str, *, new: bool = False) -> None:
            raise TransientError("key_vault_unavailable")

    custody = AccessTokenCache(
        FailingVault(ports.vault.secrets),
        ports.authorizer,
        ports.settings,
        ports.system,
        lambda: CONFIG.allowed_tenant_ids,
    )
    ports.system.pass_time(timedelta(days=7))

    assert custody.get(CONTOSO, a_consent()) == "access-1"
    assert "key_vault_unavailable" in caplog.text
    consent = ports.settings.load(CONTOSO).consent
    assert consent is not None
    assert consent.stored_at == NOON


def test_while_entra_is_unavailable_a_token_is_used_to_its_end(ports: FakeServices) -> None:
    ports.tokens.get(CONTOSO, a_consent())
    ports.authorizer.fail += [EntraUnavailableError()] * 2

    ports.system.pass_time(timedelta(minutes=59))
    assert ports.tokens.get(CONTOSO, a_consent()) == "access-1"
    ports.system.pass_time(timedelta(minutes=1))
    with pytest.raises(TransientError):
        ports.tokens.get(CONTOSO, a_consent())


def test_while_entra_is_unavailable_a_token_that_graph_refused_is_not_used(ports: FakeServices) -> None:
    ports.tokens.get(CONTOSO, a_consent())
    ports.authorizer.fail.append(EntraUnavailableError())

    with pytest.raises(TransientError):
        ports.tokens.get(CONTOSO, a_consent(), fresh=True)


def test_application_permissions_need_no_stored_tokens(ports: FakeServices) -> None:
    consent = a_consent(account=None, secret_name=None)

    assert ports.tokens.get(CONTOSO, consent) == "access-1"
    assert ports.tokens.get(CONTOSO, consent) == "access-1"
    assert ports.authorizer.refreshed == ["app-only"]


class HangingEntra(FakeEntra):
    """Waits for an event and then fails, like an endpoint without a response."""

    def __init__(self, system: FakeSystem) -> None:
        super().__init__(system)
        self.waiting, self.go_on, self.calls = threading.Event(), threading.Event(), 0

    def refresh(
        self,
        tenant_id: str,
        tokens: str,
        account: Account,
        scopes: Iterable[str],
        *,
        claims: str | None = None,
    ) -> AccessToken:
        self.calls += 1
        self.waiting.set()
        assert self.go_on.wait(10)
        raise NothingSentError("identity_unavailable", retry_after=timedelta(seconds=7))


def new_token_cache(ports: FakeServices, issuer: FakeEntra) -> AccessTokenCache:
    return AccessTokenCache(
        ports.vault, issuer, ports.settings, ports.system, lambda: CONFIG.allowed_tenant_ids
    )


class CountedLock:
    """A lock that counts the threads that acquire it."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.inner = threading.Lock()
        self.locked = self.inner.locked
        self.release = self.inner.release

    def acquire(self) -> bool:
        self.arrived.release()
        return self.inner.acquire()


def test_mails_that_waited_for_an_endpoint_that_hangs_share_its_failure(ports: FakeServices) -> None:
    entra = HangingEntra(ports.system)
    custody = new_token_cache(ports, entra)
    lock = CountedLock()
    custody._turns[CONTOSO]._lock = lock  # type: ignore[assignment]

    with ThreadPoolExecutor(8) as threads:
        mails = [threads.submit(custody.get, CONTOSO, a_consent()) for _ in range(8)]
        assert all(lock.arrived.acquire(timeout=10) for _ in mails)
        entra.go_on.set()
        errors = [mail.exception(10) for mail in mails]

    assert {
        (type(error), getattr(error, "code", ""), getattr(error, "retry_after", "")) for error in errors
    } == {(NothingSentError, "identity_unavailable", timedelta(seconds=7))}
    assert entra.calls == 1
    # A later mail requests a token itself.
    with pytest.raises(TransientError):
        custody.get(CONTOSO, a_consent())
    assert entra.calls == 2


def test_a_mail_that_waited_for_its_turn_uses_the_token_that_another_got(ports: FakeServices) -> None:
    requested, go_on = threading.Event(), threading.Event()

    class Slow(FakeEntra):
        def refresh(self, *arguments: Any, **options: Any) -> AccessToken:
            requested.set()
            assert go_on.wait(10)
            return super().refresh(*arguments, **options)

    entra = Slow(ports.system)
    custody = new_token_cache(ports, entra)
    lock = CountedLock()
    custody._turns[CONTOSO]._lock = lock  # type: ignore[assignment]

    with ThreadPoolExecutor(2) as threads:
        mails = [threads.submit(custody.get, CONTOSO, a_consent()) for _ in range(2)]
        assert all(lock.arrived.acquire(timeout=10) for _ in mails)
        go_on.set()
        assert [mail.result(10) for mail in mails] == ["access-1", "access-1"]
    assert entra.refreshed == ["tokens"]


def test_while_one_mail_waits_for_a_new_token_the_others_use_the_old_one(ports: FakeServices) -> None:
    entra = HangingEntra(ports.system)
    custody = new_token_cache(ports, ports.authorizer)
    first = custody.get(CONTOSO, a_consent())
    custody._issuer = entra
    ports.system.pass_time(timedelta(minutes=57))

    with ThreadPoolExecutor(1) as thread:
        renewing = thread.submit(custody.get, CONTOSO, a_consent())
        assert entra.waiting.wait(10)
        assert [custody.get(CONTOSO, a_consent()) for _ in range(3)] == [first] * 3
        entra.go_on.set()
        assert renewing.result(10) == first
    assert entra.calls == 1


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("key_vault_rejected", status=400, error="BadParameter"),
        ConfigurationError("key_vault_denied"),
        TransientError("key_vault_unavailable"),
        ConflictError("consent_superseded"),
        ZeroDivisionError(),
    ],
    ids=lambda error: getattr(error, "code", type(error).__name__),
)
def test_an_error_while_tokens_are_stored_never_costs_the_mail(ports: FakeServices, error: Exception) -> None:
    write = ports.vault.write

    def refuse(*_: str) -> None:
        raise error

    ports.vault.write = refuse  # type: ignore[method-assign,assignment]
    ports.system.pass_time(timedelta(days=7))
    assert ports.tokens.get(CONTOSO, a_consent()) == "access-1"
    assert ports.settings.load(CONTOSO).status is Status.ENABLED

    ports.vault.write = write  # type: ignore[method-assign]
    consent = ports.settings.load(CONTOSO).consent
    assert consent is not None
    ports.tokens.get(CONTOSO, consent, fresh=True)
    assert ports.vault.secrets == {f"smtp-{CONTOSO}-1": "tokens++"}


@pytest.mark.parametrize(
    ("ahead", "rewritten"), [(timedelta(minutes=30), False), (timedelta(days=400), True)]
)
def test_a_storage_time_in_the_future_is_ignored(
    ports: FakeServices,
    ahead: timedelta,
    rewritten: bool,  # noqa: FBT001
) -> None:
    consent = a_consent(stored_at=NOON + ahead)
    settings = ports.settings.load(CONTOSO)
    ports.settings.save(replace(settings, consent=consent))
    ports.tokens.get(CONTOSO, consent)

    assert (ports.vault.secrets[f"smtp-{CONTOSO}-1"] == "tokens+") is rewritten


def test_a_clock_that_is_set_back_lengthens_no_tokens_life(ports: FakeServices) -> None:
    ports.tokens.get(CONTOSO, a_consent())
    ports.system.set_clock(timedelta(days=-2))
    ports.tokens.get(CONTOSO, a_consent())

    assert len(ports.authorizer.refreshed) == 2
