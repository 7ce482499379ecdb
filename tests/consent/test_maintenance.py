from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.api import settings as settings_journey
from shared.consent.errors import EntraUnavailableError
from shared.consent.maintenance import maintain_consents
from shared.consent.ports import DeletedTokens
from shared.errors import ConfigurationError, ConsentRequiredError, TransientError
from shared.settings.state import reset
from shared.settings.tenant import ActiveProblem, Status, TenantSettings
from tests.api_client import call, enable, finish, open_start_link
from tests.builders import a_consent, enabled_services, some_settings
from tests.fakes import CONTOSO, FABRIKAM, NOON, FakeServices

LOST = ConsentRequiredError("consent_lost", account="ada@contoso.com", error="AADSTS700082")
DAY = timedelta(days=1)


@pytest.fixture
def ports() -> FakeServices:
    return enabled_services()


def refreshes(ports: FakeServices) -> list[datetime]:
    """Return when the consents were refreshed, oldest first."""
    consents = [ports.settings.load(each).consent for each in ports.settings.tenants()]
    return sorted(consent.refreshed_at for consent in consents if consent)


def test_a_consent_is_refreshed_every_day_whether_it_was_used_or_not(ports: FakeServices) -> None:
    for day in range(1, 4):
        ports.system.pass_time(DAY)
        maintain_consents(ports)

        consent = ports.settings.load(CONTOSO).consent
        assert consent is not None
        assert consent.refreshed_at == NOON + day * DAY


def test_a_consent_without_mail_outlives_its_first_refresh_token(ports: FakeServices) -> None:
    for _ in range(100):
        ports.system.pass_time(DAY)
        maintain_consents(ports)

    consent = ports.settings.load(CONTOSO).consent
    assert consent is not None
    assert ports.system.now() - consent.stored_at <= timedelta(days=7)
    assert ports.vault.secrets[f"smtp-{CONTOSO}-1"].startswith("tokens+")


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (LOST, Status.RECONNECT_NEEDED),
        (ConfigurationError("client_credential_refused", error="AADSTS7000222"), Status.OPERATOR_ERROR),
        (EntraUnavailableError(), Status.ENABLED),
        (TransientError("identity_unavailable"), Status.ENABLED),
    ],
)
def test_what_went_wrong_is_noticed_before_a_report_fails(
    ports: FakeServices, failure: Exception, status: Status
) -> None:
    ports.system.pass_time(DAY)
    ports.authorizer.fail.append(failure)

    maintain_consents(ports)

    assert ports.settings.load(CONTOSO).status is status


@pytest.mark.parametrize("status", [Status.RECONNECT_NEEDED, Status.OPERATOR_ERROR])
def test_a_problem_fixed_elsewhere_is_detected_as_solved(status: Status) -> None:
    ports = enabled_services(status=status, problem=ActiveProblem("sign_in_blocked", NOON, {"error": "x"}))
    ports.system.pass_time(DAY)

    maintain_consents(ports)

    assert ports.settings.load(CONTOSO).status is Status.ENABLED


def test_one_tenant_that_fails_stops_no_other(ports: FakeServices) -> None:
    other = a_consent(secret_name=f"smtp-{FABRIKAM}-1")
    ports.settings.save(some_settings(tenant_id=FABRIKAM, consent=other))
    ports.vault.write(f"smtp-{FABRIKAM}-1", "tokens")
    ports.system.pass_time(DAY)
    ports.authorizer.fail.append(EntraUnavailableError())

    maintain_consents(ports)

    assert refreshes(ports) == [NOON, NOON + DAY]


def test_a_tenant_without_a_consent_is_nothing_to_do() -> None:
    ports = FakeServices()
    enable(ports)
    ports.system.pass_time(DAY)

    maintain_consents(ports)

    assert ports.authorizer.refreshed == []


def test_tokens_that_a_crash_left_behind_are_deleted(ports: FakeServices) -> None:
    ports.vault.write(f"smtp-{CONTOSO}-0", "of a Reset whose process died")
    ports.vault.write(f"smtp-{FABRIKAM}-1", "another tenant's")

    maintain_consents(ports)

    assert set(ports.vault.secrets) == {f"smtp-{CONTOSO}-1", f"smtp-{FABRIKAM}-1"}


def test_tokens_of_a_pending_consent_are_not_deleted() -> None:
    ports = FakeServices()
    window = open_start_link(enable(ports), ports)
    ports.vault.write(f"smtp-{CONTOSO}-1", "just written")

    maintain_consents(ports)
    finish(window, ports)

    assert set(ports.vault.secrets) == {f"smtp-{CONTOSO}-1"}


def test_tokens_of_a_crashed_consent_are_deleted_once_it_cannot_finish() -> None:
    ports = FakeServices()
    open_start_link(enable(ports), ports)
    ports.vault.write(f"smtp-{CONTOSO}-1", "written by a process that died")

    # The clock of the host that runs the timer may be hours ahead.
    ports.system.pass_time(timedelta(days=1, minutes=9))
    maintain_consents(ports)
    assert ports.vault.secrets
    ports.system.pass_time(timedelta(minutes=1))
    maintain_consents(ports)

    assert ports.vault.secrets == {}


def test_a_bug_that_one_tenant_meets_stops_no_other(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    other = a_consent(secret_name=f"smtp-{FABRIKAM}-1")
    ports.settings.save(some_settings(tenant_id=FABRIKAM, consent=other))
    ports.vault.write(f"smtp-{FABRIKAM}-1", "tokens")
    ports.system.pass_time(DAY)
    ports.authorizer.fail.append(ZeroDivisionError())

    maintain_consents(ports)

    assert refreshes(ports) == [NOON, NOON + DAY]
    assert "unexpected_error" in caplog.text


def test_while_the_vault_is_unavailable_nothing_breaks(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    ports.vault.fail += [TransientError("key_vault_unavailable")] * 2

    maintain_consents(ports)

    assert "upkeep/list_tokens" in caplog.text
    assert "upkeep/keep_alive" in caplog.text


def many_tenants(ports: FakeServices) -> None:
    for number in range(100):
        tenant_id = f"6f1c0000-0000-4000-8000-{number:012d}"
        consent = a_consent(secret_name=f"smtp-{tenant_id}-1")
        ports.settings.save(some_settings(tenant_id=tenant_id, consent=consent))
    ports.configure(allowed_tenant_ids=frozenset(ports.settings.tenants()))


def time_out(ports: FakeServices) -> None:
    ports.system.pass_time(timedelta(seconds=33))
    raise TransientError("key_vault_unavailable")


def test_a_vault_that_hangs_keeps_maintenance_within_the_host_time_limit(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    many_tenants(ports)
    ports.vault._fail = lambda: time_out(ports)  # type: ignore[method-assign]

    maintain_consents(ports)

    assert ports.system.passed < timedelta(minutes=8)
    assert '"tenants_left": 91' in caplog.text
    assert {ports.settings.load(each).status for each in ports.settings.tenants()} == {Status.ENABLED}


def test_no_tenant_is_left_out_because_others_take_all_the_time(ports: FakeServices) -> None:
    many_tenants(ports)
    for tenant_id in ports.settings.tenants():
        ports.vault.write(f"smtp-{tenant_id}-1", "tokens")
    ports.vault._fail = lambda: ports.system.pass_time(timedelta(seconds=15))  # type: ignore[method-assign]
    for _ in range(30):
        maintain_consents(ports)
        ports.system.pass_time(DAY)

    assert refreshes(ports)[0] > NOON


def test_a_purge_that_hangs_keeps_maintenance_within_the_host_time_limit(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(100):
        add_deleted_tokens(ports, f"smtp-6f1c0000-0000-4000-8000-{number:012d}-1", purgeable=True)

    def purge(name: str) -> None:
        assert name in ports.vault.kept
        time_out(ports)

    ports.vault.purge = purge  # type: ignore[method-assign]

    maintain_consents(ports)

    assert ports.system.passed < timedelta(minutes=8)
    assert "time_limit_reached" in caplog.text


def test_flows_are_forgotten_a_day_after_their_end(ports: FakeServices) -> None:
    ports = FakeServices()
    old = enable(ports)
    ports.system.pass_time(DAY)
    young = enable(ports)

    ports.system.pass_time(timedelta(minutes=10, seconds=1))
    maintain_consents(ports)

    assert set(ports.flows.flows) == {young.flow_id}
    assert old.flow_id not in ports.flows.secrets


WEEK = timedelta(days=7)
NAME = f"smtp-{CONTOSO}-1"
OLD = f"smtp-{CONTOSO}-0"


def add_deleted_tokens(
    ports: FakeServices, name: str, *, purgeable: bool, until: datetime = NOON + WEEK
) -> None:
    ports.vault.kept[name] = DeletedTokens(name, until, purgeable)


def test_the_vault_is_listed_once_for_all_tenants(ports: FakeServices) -> None:
    for number in range(100):
        tenant_id = f"6f1c0000-0000-4000-8000-{number:012d}"
        ports.settings.save(some_settings(tenant_id=tenant_id))
    ports.configure(allowed_tenant_ids=frozenset(ports.settings.tenants()))

    maintain_consents(ports)

    assert ports.vault.lists == 1


def test_deleted_tokens_are_purged_as_soon_as_the_vault_allows_it(ports: FakeServices) -> None:
    add_deleted_tokens(ports, OLD, purgeable=True)
    add_deleted_tokens(ports, "smtp-of-a-deleted-tenant-3", purgeable=True)
    add_deleted_tokens(ports, "another-apps-secret", purgeable=True)

    maintain_consents(ports)

    assert set(ports.vault.kept) == {"another-apps-secret"}


def test_a_purge_that_fails_is_repeated_the_next_day_and_stops_no_other(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    purge = ports.vault.purge

    def refuse(name: str) -> None:
        if name == OLD:
            raise TransientError("key_vault_unavailable")
        purge(name)

    ports.vault.purge = refuse  # type: ignore[method-assign]
    add_deleted_tokens(ports, OLD, purgeable=True)
    add_deleted_tokens(ports, f"smtp-{FABRIKAM}-1", purgeable=True)
    maintain_consents(ports)

    assert set(ports.vault.kept) == {OLD}
    assert ports.settings.load(CONTOSO).recoverable_until == NOON + WEEK
    assert f'"kept_as": "{OLD}"' in caplog.text
    ports.vault.purge = purge  # type: ignore[method-assign]
    maintain_consents(ports)
    assert (ports.vault.kept, ports.settings.load(CONTOSO).recoverable_until) == ({}, None)


def test_deleted_tokens_in_use_are_not_purged(ports: FakeServices) -> None:
    ports.vault.secrets.clear()
    add_deleted_tokens(ports, NAME, purgeable=True)

    maintain_consents(ports)

    assert set(ports.vault.kept) == {NAME}


def test_deleted_tokens_of_an_unserved_tenant_are_not_purged(ports: FakeServices) -> None:
    add_deleted_tokens(ports, OLD, purgeable=True)
    ports.configure(allowed_tenant_ids=frozenset({FABRIKAM}))

    maintain_consents(ports)

    assert set(ports.vault.kept) == {OLD}


def test_the_page_shows_until_when_tokens_can_be_recovered(ports: FakeServices) -> None:
    add_deleted_tokens(ports, OLD, purgeable=False)
    add_deleted_tokens(ports, f"smtp-{CONTOSO}-00", purgeable=False, until=NOON + timedelta(days=3))

    maintain_consents(ports)

    assert ports.settings.load(CONTOSO).recoverable_until == NOON + WEEK
    assert ports.settings.load(FABRIKAM).etag is None


def test_tokens_that_could_not_be_deleted_are_deleted_the_next_day(ports: FakeServices) -> None:
    ports.vault.fail.append(TransientError("key_vault_unavailable"))
    call(settings_journey.reset_settings, ports)
    assert ports.settings.load(CONTOSO).undeleted_tokens == (NAME,)

    maintain_consents(ports)

    assert (ports.settings.load(CONTOSO).undeleted_tokens, ports.vault.secrets) == ((), {})


def test_a_lost_deletion_that_is_nowhere_yet_is_not_called_gone(ports: FakeServices) -> None:
    def carry_out_without_response(name: str) -> None:
        del ports.vault.secrets[name]
        raise TransientError("key_vault_unavailable")

    ports.vault.delete = carry_out_without_response  # type: ignore[method-assign]
    call(settings_journey.reset_settings, ports)

    maintain_consents(ports)

    assert ports.settings.load(CONTOSO).undeleted_tokens == (NAME,)
    add_deleted_tokens(ports, NAME, purgeable=False)
    maintain_consents(ports)
    settings = ports.settings.load(CONTOSO)
    assert (settings.undeleted_tokens, settings.recoverable_until) == ((), NOON + WEEK)


def test_a_reset_whose_process_crashed_is_finished_the_next_day(ports: FakeServices) -> None:
    ports.settings.save(reset(ports.settings.load(CONTOSO)))
    assert ports.settings.load(CONTOSO).undeleted_tokens == (NAME,)

    maintain_consents(ports)

    assert (ports.settings.load(CONTOSO).undeleted_tokens, ports.vault.secrets) == ((), {})


def test_what_storage_can_not_note_now_is_noted_the_next_day(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    save = ports.settings.save

    def unavailable(settings: TenantSettings) -> TenantSettings:
        if settings.consent is None and not settings.undeleted_tokens:
            raise TransientError("storage_unavailable", service="tables")
        return save(settings)

    ports.settings.save = unavailable  # type: ignore[method-assign]
    call(settings_journey.reset_settings, ports)
    assert "note_tokens" in caplog.text
    assert (ports.settings.load(CONTOSO).undeleted_tokens, ports.vault.secrets) == ((NAME,), {})

    ports.settings.save = save  # type: ignore[method-assign]
    maintain_consents(ports)
    assert ports.settings.load(CONTOSO).undeleted_tokens == ()


def test_tokens_that_carry_no_mark_of_this_installation_are_not_deleted(ports: FakeServices) -> None:
    """A vault lists only tagged secrets; others can belong to someone else."""
    ports.vault.write(f"smtp-{CONTOSO}-7", "another installation's")
    ports.vault.names = tuple  # type: ignore[method-assign]
    maintain_consents(ports)

    assert f"smtp-{CONTOSO}-7" in ports.vault.secrets


def test_untagged_tokens_that_the_settings_gave_up_are_deleted(ports: FakeServices) -> None:
    settings = ports.settings.load(CONTOSO)
    ports.vault.write(f"smtp-{CONTOSO}-0", "given up")
    ports.settings.save(replace(settings, undeleted_tokens=(f"smtp-{CONTOSO}-0",)))
    ports.vault.names = tuple  # type: ignore[method-assign]
    maintain_consents(ports)

    assert f"smtp-{CONTOSO}-0" not in ports.vault.secrets
    assert ports.settings.load(CONTOSO).undeleted_tokens == ()


@pytest.mark.parametrize(
    ("days", "failure", "told"),
    [
        (6, EntraUnavailableError(), False),
        (7, EntraUnavailableError(), True),
        (7, ConfigurationError("client_credential_refused", error="AADSTS7000222"), True),
        (7, None, False),
        (30, LOST, False),
    ],
)
def test_a_token_that_was_not_refreshed_for_a_week_is_reported(
    ports: FakeServices,
    caplog: pytest.LogCaptureFixture,
    days: int,
    failure: Exception | None,
    told: bool,  # noqa: FBT001
) -> None:
    """Not where an admin knows that a consent is needed."""
    ports.system.pass_time(days * DAY)
    ports.authorizer.fail = [failure] * 10 if failure else []
    maintain_consents(ports)

    line = f'token_not_refreshed {{"days": {days}, "tenant_id": "{CONTOSO}"}}'
    assert (line in caplog.messages) is told


def test_a_token_refreshed_but_not_stored_for_two_weeks_is_reported(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    known = ports.settings.load(CONTOSO)
    assert known.consent is not None
    ports.system.pass_time(14 * DAY)
    fresh = replace(known.consent, refreshed_at=ports.system.now())
    ports.settings.save(replace(known, consent=fresh))
    ports.authorizer.fail = [EntraUnavailableError()] * 10
    maintain_consents(ports)

    assert f'token_not_refreshed {{"days": 14, "tenant_id": "{CONTOSO}"}}' in caplog.messages


def test_the_apps_own_permission_has_no_token_to_refresh(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    known = ports.settings.load(CONTOSO)
    assert known.consent is not None
    ports.settings.save(replace(known, consent=replace(known.consent, account=None, secret_name=None)))
    ports.system.pass_time(30 * DAY)
    ports.authorizer.fail = [EntraUnavailableError()] * 10
    maintain_consents(ports)

    assert "token_not_refreshed" not in caplog.text
