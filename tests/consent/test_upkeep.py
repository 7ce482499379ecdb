from datetime import timedelta

import pytest

from shared.consent.upkeep import keep_all
from shared.errors import ConfigurationError, ConsentRequiredError, TransientError
from shared.settings.tenant import StandingProblem, Status
from tests.builders import a_consent, enabled_services, some_settings
from tests.calls import enable, finish, opened
from tests.fakes import CONTOSO, FABRIKAM, NOON, FakeServices

LOST = ConsentRequiredError("consent_lost", account="ada@contoso.com", error="AADSTS700082")
DAY = timedelta(days=1)


@pytest.fixture
def ports() -> FakeServices:
    return enabled_services()


def test_a_consent_is_refreshed_every_day_whether_it_was_used_or_not(ports: FakeServices) -> None:
    for day in range(1, 4):
        ports.world.pass_time(DAY)
        keep_all(ports)

        consent = ports.settings.load(CONTOSO).consent
        assert consent is not None
        assert consent.refreshed_at == NOON + day * DAY


def test_a_consent_without_any_mail_lives_longer_than_its_first_refresh_token(ports: FakeServices) -> None:
    for _ in range(100):
        ports.world.pass_time(DAY)
        keep_all(ports)

    consent = ports.settings.load(CONTOSO).consent
    assert consent is not None
    assert ports.world.now() - consent.stored_at <= timedelta(days=7)
    assert ports.vault.secrets[f"smtp-{CONTOSO}-1"].startswith("tokens+")


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (LOST, Status.RECONNECT_NEEDED),
        (ConfigurationError("client_credential_refused", error="AADSTS7000222"), Status.OPERATOR_ERROR),
        (TransientError("entra_unavailable"), Status.ENABLED),
    ],
)
def test_what_went_wrong_is_noticed_before_a_report_fails(
    ports: FakeServices, failure: Exception, status: Status
) -> None:
    ports.world.pass_time(DAY)
    ports.authorizer.fail.append(failure)

    keep_all(ports)

    assert ports.settings.load(CONTOSO).status is status


@pytest.mark.parametrize("status", [Status.RECONNECT_NEEDED, Status.OPERATOR_ERROR])
def test_what_somebody_mended_elsewhere_is_noticed_too(status: Status) -> None:
    ports = enabled_services(status=status, problem=StandingProblem("sign_in_blocked", NOON, {"error": "x"}))
    ports.world.pass_time(DAY)

    keep_all(ports)

    assert ports.settings.load(CONTOSO).status is Status.ENABLED


def test_one_tenant_that_fails_keeps_no_other_from_it(ports: FakeServices) -> None:
    other = a_consent(secret_name=f"smtp-{FABRIKAM}-1")
    ports.settings.save(some_settings(tenant_id=FABRIKAM, consent=other))
    ports.vault.write(f"smtp-{FABRIKAM}-1", "tokens")
    ports.world.pass_time(DAY)
    ports.authorizer.fail.append(TransientError("entra_unavailable"))

    keep_all(ports)

    consent = ports.settings.load(FABRIKAM).consent
    assert consent is not None
    assert consent.refreshed_at == NOON + DAY


def test_a_tenant_without_a_consent_is_nothing_to_do() -> None:
    ports = FakeServices()
    enable(ports)
    ports.world.pass_time(DAY)

    keep_all(ports)

    assert ports.authorizer.refreshed == []


def test_tokens_that_a_crash_left_behind_are_deleted(ports: FakeServices) -> None:
    ports.vault.write(f"smtp-{CONTOSO}-0", "of a Reset whose process died")
    ports.vault.write(f"smtp-{FABRIKAM}-1", "another tenant's")

    keep_all(ports)

    assert set(ports.vault.secrets) == {f"smtp-{CONTOSO}-1", f"smtp-{FABRIKAM}-1"}


def test_tokens_of_a_consent_under_way_are_left_alone() -> None:
    ports = FakeServices()
    window = opened(enable(ports), ports)
    ports.vault.write(f"smtp-{CONTOSO}-1", "just written")

    keep_all(ports)
    finish(window, ports)

    assert set(ports.vault.secrets) == {f"smtp-{CONTOSO}-1"}


def test_tokens_of_a_consent_whose_process_died_are_deleted_once_nobody_can_finish_it() -> None:
    ports = FakeServices()
    opened(enable(ports), ports)
    ports.vault.write(f"smtp-{CONTOSO}-1", "written by a process that died")

    ports.world.pass_time(timedelta(minutes=69))
    keep_all(ports)
    assert ports.vault.secrets
    ports.world.pass_time(timedelta(minutes=1))
    keep_all(ports)

    assert ports.vault.secrets == {}


def test_a_bug_that_one_tenant_meets_keeps_no_other_from_it(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    other = a_consent(secret_name=f"smtp-{FABRIKAM}-1")
    ports.settings.save(some_settings(tenant_id=FABRIKAM, consent=other))
    ports.vault.write(f"smtp-{FABRIKAM}-1", "tokens")
    ports.world.pass_time(DAY)
    ports.authorizer.fail.append(ZeroDivisionError())

    keep_all(ports)

    consent = ports.settings.load(FABRIKAM).consent
    assert consent is not None
    assert consent.refreshed_at == NOON + DAY
    assert "unexpected_error" in caplog.text


def test_while_the_vault_is_away_nothing_breaks(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    ports.vault.fail += [TransientError("key_vault_unavailable")] * 2

    keep_all(ports)

    assert "upkeep/keep_alive" in caplog.text
    assert "upkeep/sweep" in caplog.text


def test_flows_are_forgotten_a_day_after_their_end(ports: FakeServices) -> None:
    ports = FakeServices()
    old = enable(ports)
    ports.world.pass_time(DAY)
    young = enable(ports)

    ports.world.pass_time(timedelta(minutes=10, seconds=1))
    keep_all(ports)

    assert set(ports.flows.flows) == {young.flow_id}
    assert old.flow_id not in ports.flows.secrets
