"""When a token is requested from Entra, and when a refusal counts."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from shared.consent.errors import EntraUnavailableError
from shared.consent.maintenance import refresh_consent
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, ConsentRequiredError, ProblemError, TransientError
from shared.sending.deliver import deliver
from shared.sending.diagnostics import run_checks
from shared.settings.tenant import Consent, Status
from tests.builders import a_consent, a_message, enabled_services
from tests.fakes import CONTOSO, FABRIKAM, NOON, FakeServices

MINUTE = timedelta(minutes=1)
THROTTLED = EntraUnavailableError(retry_after=MINUTE)


def temporary_refusal(code: str = "consent_lost", number: str = "AADSTS65001") -> ProblemError:
    """Build the error of a refusal that may be temporary."""
    error = ConsentRequiredError(code, account="ada@contoso.com", error=number)
    error.replicating = "consent" if number == "AADSTS65001" else "app"
    return error


REMOVED = temporary_refusal("app_removed", "AADSTS700016")
WRONG_REGISTRATION = ConfigurationError("app_registration_wrong", error="AADSTS650056")
WRONG_REGISTRATION.replicating = "consent"


CREDENTIAL = ConfigurationError("client_credential_refused", error="AADSTS7000215")
CREDENTIAL.replicating = "credential"


def refused_request(ports: FakeServices, consent: Consent, error: ProblemError) -> ProblemError:
    """Request a token that Entra refuses, and return the error."""
    # Of two kinds of kept tokens each may be tried.
    ports.authorizer.fail = [error, error]
    with pytest.raises(ProblemError) as found:
        ports.tokens.get(CONTOSO, consent, fresh=True)
    ports.authorizer.fail = []
    return found.value


def consented(age: timedelta) -> tuple[FakeServices, Consent]:
    """Build services whose tenant consented so long ago."""
    consent = a_consent(consented_at=NOON - age)
    return enabled_services(consent=consent), consent


@pytest.mark.parametrize("error", [temporary_refusal(), REMOVED, WRONG_REGISTRATION], ids=str)
def test_in_the_first_minutes_of_a_consent_no_refusal_that_can_pass_counts(error: ProblemError) -> None:
    ports, consent = consented(timedelta(seconds=5))

    for _ in range(3):
        told = refused_request(ports, consent, error)
        assert (type(told), told.code) == (TransientError, "consent_spreading")
        assert told.problem.who_acts == "nobody"
        ports.system.pass_time(4 * MINUTE)

    assert ports.settings.load(CONTOSO).status is Status.ENABLED
    assert ports.tokens.get(CONTOSO, consent, fresh=True)


@pytest.mark.parametrize("error", [temporary_refusal(), REMOVED, WRONG_REGISTRATION], ids=str)
def test_later_a_temporary_refusal_counts_when_repeated_minutes_apart(error: ProblemError) -> None:
    ports, consent = consented(timedelta(minutes=15))

    assert refused_request(ports, consent, error).code == "consent_spreading"
    ports.system.pass_time(4 * MINUTE)
    assert refused_request(ports, consent, error).code == "consent_spreading"
    ports.system.pass_time(MINUTE)
    assert refused_request(ports, consent, error) is error


def test_a_refused_credential_counts_when_repeated_minutes_apart() -> None:
    ports, consent = consented(timedelta(days=1))

    for _ in range(2):
        told = refused_request(ports, consent, CREDENTIAL)
        assert (type(told), told.code, told.problem.who_acts) == (
            TransientError,
            "credential_spreading",
            "nobody",
        )
        assert "AADSTS7000215" in told.problem.detail
        assert ports.settings.load(CONTOSO).status is Status.ENABLED
        ports.system.pass_time(150 * timedelta(seconds=1))

    assert refused_request(ports, consent, CREDENTIAL) is CREDENTIAL


def test_a_mail_waits_while_a_new_credential_spreads_in_entra() -> None:
    ports, _ = consented(timedelta(days=1))
    ports.authorizer.fail = [CREDENTIAL] * 2
    deliver(a_message(messageId="m-1"), "q-1", ports)
    again, wait = ports.outbox.messages.pop()
    ports.system.pass_time(wait)
    deliver(again, "q-2", ports)
    status = ports.settings.load(CONTOSO).status
    again, wait = ports.outbox.messages.pop()
    ports.system.pass_time(wait)
    deliver(again, "q-3", ports)

    assert status is Status.ENABLED
    assert ports.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.ACCEPTED


def test_a_token_that_is_issued_in_between_ends_the_count() -> None:
    ports, consent = consented(timedelta(days=1))
    refused_request(ports, consent, temporary_refusal())
    ports.system.pass_time(3 * MINUTE)

    ports.tokens.get(CONTOSO, consent, fresh=True)
    ports.system.pass_time(3 * MINUTE)

    assert refused_request(ports, consent, temporary_refusal()).code == "consent_spreading"


def test_another_process_counts_on() -> None:
    ports, consent = consented(timedelta(days=1))
    refused_request(ports, consent, temporary_refusal())
    other = FakeServices(vault=ports.vault, settings=ports.settings, system=ports.system)
    ports.system.pass_time(5 * MINUTE)

    assert refused_request(other, consent, temporary_refusal()).code == "consent_lost"


def test_a_time_that_a_wrong_clock_wrote_does_not_put_the_count_off() -> None:
    ports, consent = consented(timedelta(days=1))
    ports.system.set_clock(timedelta(days=300))
    refused_request(ports, consent, temporary_refusal())
    ports.system.set_clock(timedelta(days=-300))

    refused_request(ports, consent, temporary_refusal())
    ports.system.pass_time(5 * MINUTE)
    assert refused_request(ports, consent, temporary_refusal()).code == "consent_lost"


def test_a_consent_from_the_future_is_not_fresh_for_ever() -> None:
    ports, consent = consented(timedelta(days=-300))
    refused_request(ports, consent, temporary_refusal())
    ports.system.pass_time(5 * MINUTE)

    assert refused_request(ports, consent, temporary_refusal()).code == "consent_lost"


def test_a_refusal_of_a_consent_that_was_replaced_counts_at_once() -> None:
    ports, consent = consented(timedelta(days=1))

    assert refused_request(ports, a_consent(version=0), temporary_refusal()).code == "consent_lost"
    assert ports.settings.load(CONTOSO).consent == consent


def test_a_refusal_that_cannot_be_noted_does_not_count() -> None:
    ports, consent = consented(timedelta(days=1))
    ports.settings.lost.append(TransientError("storage_unavailable", service="tables"))

    assert refused_request(ports, consent, temporary_refusal()).code == "consent_spreading"


def test_a_refusal_that_cannot_pass_counts_at_once() -> None:
    ports, consent = consented(timedelta(seconds=5))
    lost = ConsentRequiredError("consent_lost", account="ada@contoso.com", error="AADSTS50173")

    assert refused_request(ports, consent, lost) is lost


def test_the_check_and_the_daily_refresh_lose_no_consent_by_one_refusal() -> None:
    ports, _ = consented(timedelta(days=1))
    ports.authorizer.fail = [temporary_refusal()]
    checks = {str(check.name): check for check in run_checks(CONTOSO, None, ports)}
    assert checks["token"].problem is not None
    assert checks["token"].problem.code == "consent_spreading"
    assert ports.settings.load(CONTOSO).status is Status.ENABLED

    ports.system.pass_time(timedelta(days=1))
    ports.authorizer.fail.append(REMOVED)
    refresh_consent(CONTOSO, ports)

    settings = ports.settings.load(CONTOSO)
    assert settings.problem is not None
    assert (settings.status, settings.problem.code) == (Status.RECONNECT_NEEDED, "app_removed")
    assert settings.problem.problem.who_acts == "workspace_admin"


def test_while_a_newer_token_is_refused_the_old_one_is_used_to_its_end() -> None:
    ports, consent = consented(timedelta(days=1))
    ports.tokens.get(CONTOSO, consent)
    ports.system.pass_time(56 * MINUTE)
    ports.authorizer.fail = [temporary_refusal(), temporary_refusal()]

    assert ports.tokens.get(CONTOSO, consent) == "access-1"


# Throttling


def test_retry_after_from_entra_is_obeyed_by_the_whole_tenant() -> None:
    ports, consent = consented(timedelta(days=1))
    assert refused_request(ports, consent, THROTTLED) is THROTTLED
    ports.system.pass_time(timedelta(seconds=20))

    def get(_: int) -> TransientError:
        with pytest.raises(TransientError) as told:
            ports.tokens.get(CONTOSO, consent)
        return told.value

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(get, range(8)))

    assert {(error.code, error.retry_after) for error in told} == {
        ("entra_unavailable", timedelta(seconds=40))
    }
    assert ports.authorizer.refreshed == []
    ports.system.pass_time(timedelta(seconds=40))
    assert ports.tokens.get(CONTOSO, consent) == "access-1"


def test_a_tenants_wait_is_not_anothers() -> None:
    ports, consent = consented(timedelta(days=1))
    refused_request(ports, consent, THROTTLED)

    assert ports.tokens.get(FABRIKAM, consent)


def test_a_response_without_retry_after_delays_no_mail() -> None:
    ports, consent = consented(timedelta(days=1))
    refused_request(ports, consent, EntraUnavailableError())
    refused_request(ports, consent, TransientError("key_vault_unavailable", retry_after=MINUTE))

    assert ports.tokens.get(CONTOSO, consent)


# A token that lacks a permission


def test_a_token_without_the_new_permissions_is_renewed_within_a_minute() -> None:
    ports, consent = consented(timedelta(seconds=5))
    ports.authorizer.later = [frozenset({"User.Read"})]

    assert ports.tokens.get(CONTOSO, consent) == "access-1"
    ports.system.pass_time(timedelta(seconds=61))
    assert ports.tokens.get(CONTOSO, consent) == "access-2"
    ports.system.pass_time(timedelta(minutes=50))
    assert ports.tokens.get(CONTOSO, consent) == "access-2"


@pytest.mark.parametrize(("roles", "tokens"), [(frozenset[str](), 1), (frozenset({"User.Read"}), 2)])
def test_a_token_of_the_app_is_renewed_if_it_has_some_roles_and_not_all(
    roles: frozenset[str], tokens: int
) -> None:
    consent = a_consent(account=None, secret_name=None, consented_at=NOON - timedelta(days=1))
    ports = enabled_services(consent=consent)
    ports.authorizer.roles = roles

    ports.tokens.get(CONTOSO, consent)
    ports.system.pass_time(timedelta(seconds=61))
    ports.tokens.get(CONTOSO, consent)

    assert len(ports.authorizer.refreshed) == tokens
