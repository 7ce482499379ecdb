import pytest

from shared.errors import ConfigurationError, ConsentRequiredError
from shared.settings.sender import sender_of
from shared.settings.tenant import Account, ActiveProblem, RequestedSender, Status, TenantSettings
from tests.builders import a_consent, some_settings
from tests.fakes import CONTOSO, NOON

LOST = ActiveProblem("consent_lost", NOON, {"account": "ada@contoso.com", "error": "AADSTS50173"})
REFUSED = ActiveProblem("client_credential_refused", NOON, {"error": "AADSTS7000222"})


def test_the_accounts_own_mailbox_sends_without_naming_a_sender() -> None:
    sender = sender_of(some_settings(sender=RequestedSender("Ada@Contoso.com")))

    assert (sender.address, sender.mailbox, sender.from_field) == ("Ada@Contoso.com", "me", None)
    assert sender.account == "ada@contoso.com"


def test_a_delegated_mailbox_is_named_as_the_sender() -> None:
    sender = sender_of(some_settings(sender=RequestedSender("finance@contoso.com")))

    assert (sender.mailbox, sender.from_field) == ("me", "finance@contoso.com")


def test_without_a_consent_nothing_is_sent() -> None:
    with pytest.raises(ConsentRequiredError) as refused:
        sender_of(TenantSettings(CONTOSO))
    assert refused.value.code == "consent_missing"


def test_a_lost_consent_is_reported_with_its_own_problem() -> None:
    with pytest.raises(ConsentRequiredError) as refused:
        sender_of(some_settings(status=Status.RECONNECT_NEEDED, problem=LOST))
    assert refused.value.problem == LOST.problem


def test_an_operators_error_is_reported_with_its_own_problem() -> None:
    with pytest.raises(ConfigurationError) as refused:
        sender_of(some_settings(status=Status.OPERATOR_ERROR, problem=REFUSED))
    assert refused.value.problem == REFUSED.problem


def test_a_problem_that_stops_nothing_stops_nothing() -> None:
    assert sender_of(some_settings(problem=LOST)).address == "ada@contoso.com"


def test_a_mailbox_that_the_app_sends_from_is_one_step_of_the_path() -> None:
    settings = some_settings(sender=RequestedSender("a/b@contoso.com"), consent=a_consent(account=None))

    assert sender_of(settings, ["a/b@contoso.com"]).mailbox == "users/a%2Fb%40contoso.com"


@pytest.mark.parametrize("senders", [(), ("other@contoso.com",), ("ada@contoso.com.evil.com",)])
def test_the_app_sends_from_no_address_that_is_not_listed(senders: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        sender_of(some_settings(consent=a_consent(account=None)), senders)
    assert refused.value.code == "application_sender_not_allowed"


def test_a_permission_that_was_not_requested_is_not_used() -> None:
    granted = frozenset({"Mail.Send", "Mail.ReadWrite"})

    small = sender_of(some_settings(consent=a_consent(scopes=granted)))
    large = sender_of(
        some_settings(
            sender=RequestedSender("ada@contoso.com", large_file_attachments=True),
            consent=a_consent(scopes=granted),
        )
    )

    assert (small.may_draft, large.may_draft) == (False, True)


def test_a_renamed_account_shows_its_new_name_and_keeps_its_mailbox() -> None:
    renamed = Account("ada-object-id", CONTOSO, "ada@contoso.com", renamed_to="ada.king@contoso.com")

    sender = sender_of(some_settings(consent=a_consent(account=renamed)))

    assert (sender.account_name, sender.mailbox_address) == ("ada.king@contoso.com", "ada.king@contoso.com")
    assert (sender.account, sender.mailbox) == ("ada@contoso.com", "me")
