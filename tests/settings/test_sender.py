import pytest

from shared.errors import ConfigurationError, ConsentRequiredError
from shared.settings.sender import sender_of
from shared.settings.tenant import StandingProblem, Status, TenantSettings, Wanted
from tests.builders import a_consent, some_settings
from tests.fakes import CONTOSO, NOON

LOST = StandingProblem("consent_lost", NOON, {"account": "ada@contoso.com", "error": "AADSTS50173"})
REFUSED = StandingProblem("client_credential_refused", NOON, {"error": "AADSTS7000222"})


def test_the_accounts_own_mailbox_sends_without_naming_a_sender() -> None:
    sender = sender_of(some_settings(sender=Wanted("Ada@Contoso.com")))

    assert (sender.address, sender.mailbox, sender.from_field) == ("Ada@Contoso.com", "me", None)
    assert sender.account == "ada@contoso.com"


def test_a_delegated_mailbox_is_named_as_the_sender() -> None:
    sender = sender_of(some_settings(sender=Wanted("finance@contoso.com")))

    assert (sender.mailbox, sender.from_field) == ("me", "finance@contoso.com")


def test_without_a_consent_nothing_is_sent() -> None:
    with pytest.raises(ConsentRequiredError) as refused:
        sender_of(TenantSettings(CONTOSO))
    assert refused.value.code == "consent_missing"


def test_a_lost_consent_is_told_with_its_own_problem() -> None:
    with pytest.raises(ConsentRequiredError) as refused:
        sender_of(some_settings(status=Status.RECONNECT_NEEDED, problem=LOST))
    assert refused.value.problem == LOST.problem


def test_an_operators_error_is_told_with_its_own_problem() -> None:
    with pytest.raises(ConfigurationError) as refused:
        sender_of(some_settings(status=Status.OPERATOR_ERROR, problem=REFUSED))
    assert refused.value.problem == REFUSED.problem


def test_a_problem_that_stops_nothing_stops_nothing() -> None:
    assert sender_of(some_settings(problem=LOST)).address == "ada@contoso.com"


def test_a_mailbox_that_the_app_sends_from_is_one_step_of_the_path() -> None:
    sender = sender_of(some_settings(sender=Wanted("a/b@contoso.com"), consent=a_consent(account=None)))

    assert sender.mailbox == "users/a%2Fb%40contoso.com"
