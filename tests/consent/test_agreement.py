"""What an answer agrees to: the permissions, the account, and the application way."""

from urllib.parse import parse_qs, urlsplit

import pytest

from shared.consent import journey as consent
from shared.errors import ConfigurationError, TransientError
from shared.settings import journey as settings
from shared.settings.sender import sender_of
from shared.settings.tenant import Account, StandingProblem, Status, Wanted
from tests.builders import a_consent, enabled_services
from tests.calls import Window, a_request, call, content, enable, finish, opened, shown
from tests.fakes import CONTOSO, NOON, FakeServices


@pytest.fixture
def ports() -> FakeServices:
    return FakeServices()


def problem_of(ports: FakeServices, window: Window) -> str | None:
    found = content(call(consent.read_flow, ports, route={"flow_id": window.flow_id}))
    return found["problem"]["code"] if found["problem"] else None


def signs_in(ports: FakeServices, username: str) -> None:
    ports.authorizer.account = Account(f"{username}-id", CONTOSO, username)


def test_for_the_admins_own_address_the_least_is_asked_for(ports: FakeServices) -> None:
    opened(enable(ports, "ADA@contoso.com"), ports)

    assert ports.authorizer.asked == [("Mail.Send",)]


def test_for_any_other_address_the_shared_permissions_are_asked_for(ports: FakeServices) -> None:
    opened(enable(ports, "finance@contoso.com", largeFileAttachments=True), ports)

    assert ports.authorizer.asked == [
        ("Mail.Send", "Mail.ReadWrite", "Mail.Send.Shared", "Mail.ReadWrite.Shared")
    ]


def test_a_delegated_mailbox_shows_both_the_address_and_the_account(ports: FakeServices) -> None:
    finish(opened(enable(ports, "finance@contoso.com"), ports), ports)

    view = shown(ports)
    assert view["delegatedMailbox"] is True
    assert (view["fromEmailAddress"], view["consentedBy"]) == ("finance@contoso.com", "ada@contoso.com")
    assert view["permissions"] == ["Mail.Send", "Mail.Send.Shared"]


def test_the_owner_of_the_address_needs_no_shared_permission(ports: FakeServices) -> None:
    window = opened(enable(ports, "reports@contoso.com"), ports)
    signs_in(ports, "Reports@contoso.com")
    ports.authorizer.granted = frozenset({"Mail.Send"})

    finish(window, ports)

    assert problem_of(ports, window) is None
    assert shown(ports)["delegatedMailbox"] is False


def test_a_colleague_may_consent_and_the_page_names_both(ports: FakeServices) -> None:
    window = opened(enable(ports, "reports@contoso.com"), ports)
    signs_in(ports, "reports@contoso.com")

    finish(window, ports)

    view = shown(ports)
    assert (view["consentStartedBy"], view["consentedBy"]) == ("ada@contoso.com", "reports@contoso.com")


def test_another_account_needs_the_shared_permission(ports: FakeServices) -> None:
    window = opened(enable(ports, "finance@contoso.com"), ports)
    ports.authorizer.granted = frozenset({"Mail.Send"})

    finish(window, ports)

    assert problem_of(ports, window) == "permission_not_granted"


def test_less_than_large_files_need_is_a_problem_and_not_a_smaller_consent(ports: FakeServices) -> None:
    window = opened(enable(ports, largeFileAttachments=True), ports)
    ports.authorizer.granted = frozenset({"Mail.Send"})

    finish(window, ports)

    assert problem_of(ports, window) == "permission_not_granted"
    assert shown(ports)["status"] == "not_configured"
    assert ports.vault.secrets == {}


def test_another_account_does_not_take_over_the_admins_own_address(ports: FakeServices) -> None:
    window = opened(enable(ports, "ada@contoso.com"), ports)
    signs_in(ports, "uma@contoso.com")

    finish(window, ports)

    assert problem_of(ports, window) == "consent_wrong_account"
    assert ports.vault.secrets == {}


def test_another_account_does_not_take_over_the_address_of_who_consented_before() -> None:
    lost = StandingProblem("consent_lost", NOON, {"account": "reports@contoso.com", "error": "x"})
    ports = enabled_services(
        status=Status.RECONNECT_NEEDED,
        problem=lost,
        sender=Wanted("reports@contoso.com"),
        consent=a_consent(account=Account("reports-id", CONTOSO, "reports@contoso.com")),
    )
    window = opened(enable(ports, "reports@contoso.com"), ports)

    finish(window, ports)

    assert problem_of(ports, window) == "consent_wrong_account"
    assert shown(ports)["status"] == "reconnect_needed"


def test_the_admins_account_is_offered_at_the_sign_in(ports: FakeServices) -> None:
    opened(enable(ports, "finance@contoso.com"), ports)

    assert ports.authorizer.hints == [("ada@contoso.com", False)]


def test_an_admin_may_ask_to_be_asked_again(ports: FakeServices) -> None:
    opened(enable(ports, askAgain=True), ports)

    assert ports.authorizer.hints == [("ada@contoso.com", True)]


@pytest.mark.parametrize("service", ["entra_unavailable", "key_vault_unavailable"])
def test_a_service_that_is_away_interrupts_the_consent_and_says_to_start_again(
    ports: FakeServices, service: str
) -> None:
    window = opened(enable(ports), ports)
    ports.authorizer.fail.append(TransientError(service))

    finish(window, ports)

    assert problem_of(ports, window) == "consent_interrupted"


# The application way


def admin_consent(ports: FakeServices, window: Window, **reply: str) -> str | None:
    """Have Microsoft answer an admin's consent, and return the problem."""
    query = {"state": window.state, "admin_consent": "True", "tenant": "anything", **reply}
    request = a_request(
        method="GET",
        query={k: v for k, v in query.items() if v},
        headers={"cookie": f"__Host-consent={window.cookie}"},
    )
    assert consent.finish_admin_consent(request, ports).status == 303
    return problem_of(ports, window)


def apply(ports: FakeServices, **members: object) -> Window:
    return opened(enable(ports, "reports@contoso.com", authorization="application", **members), ports)


def test_an_admin_consents_for_the_app_itself(ports: FakeServices) -> None:
    window = apply(ports)

    assert "/v2.0/adminconsent?" in window.address
    assert admin_consent(ports, window) is None
    view = shown(ports)
    assert (view["status"], view["authorization"]) == ("enabled", "application")
    assert (view["delegatedMailbox"], view["permissions"]) == (False, ["Mail.Send"])
    assert view["consentedBy"] == "ada@contoso.com"
    assert ports.vault.secrets == {}


def test_the_app_sends_from_the_mailbox_itself(ports: FakeServices) -> None:
    admin_consent(ports, apply(ports))

    sender = sender_of(ports.settings.load(CONTOSO))

    assert (sender.mailbox, sender.from_field, sender.account) == (
        "users/reports%40contoso.com",
        None,
        "the app",
    )
    assert ports.tokens.get(CONTOSO, sender.consent) == "access-2"
    assert ports.authorizer.refreshed == ["app-only", "app-only"]


@pytest.mark.parametrize("error", ["consent_required", "permission_denied", "access_denied"])
def test_a_decline_says_admin_consent_true_as_well(ports: FakeServices, error: str) -> None:
    window = apply(ports)

    assert admin_consent(ports, window, error=error) == "consent_declined"
    assert shown(ports)["status"] == "not_configured"
    assert ports.authorizer.refreshed == []


@pytest.mark.parametrize("answer", ["", "False", "yes"])
def test_without_a_clear_yes_nothing_is_taken(ports: FakeServices, answer: str) -> None:
    assert admin_consent(ports, apply(ports), admin_consent=answer) == "consent_reply_invalid"
    assert shown(ports)["status"] == "not_configured"


def test_a_yes_without_a_token_to_prove_it_is_none(ports: FakeServices) -> None:
    window = apply(ports)
    ports.authorizer.fail.append(ConfigurationError("app_registration_wrong", error="AADSTS700016"))

    assert admin_consent(ports, window) == "app_registration_wrong"
    assert shown(ports)["status"] == "not_configured"


def test_a_token_with_less_than_large_files_need_is_a_problem(ports: FakeServices) -> None:
    assert admin_consent(ports, apply(ports, largeFileAttachments=True)) == "permission_not_granted"


def test_permissions_that_exchange_grants_show_in_no_token_and_are_believed(ports: FakeServices) -> None:
    ports.authorizer.roles = frozenset()

    assert admin_consent(ports, apply(ports, largeFileAttachments=True)) is None
    assert shown(ports)["permissions"] == ["Mail.ReadWrite", "Mail.Send"]


def test_the_answer_of_one_way_does_not_finish_the_other(ports: FakeServices) -> None:
    delegated = opened(enable(ports), ports)
    assert admin_consent(ports, delegated) == "consent_reply_invalid"

    application = apply(ports)
    finish(application, ports)
    assert problem_of(ports, application) == "consent_reply_invalid"
    assert shown(ports)["status"] == "not_configured"


def test_a_change_of_the_way_deletes_the_users_tokens() -> None:
    lost = StandingProblem("consent_lost", NOON, {"account": "a", "error": "x"})
    ports = enabled_services(status=Status.RECONNECT_NEEDED, problem=lost)

    admin_consent(ports, apply(ports))

    assert shown(ports)["authorization"] == "application"
    assert ports.vault.secrets == {}


def test_save_keeps_the_way_of_authorisation(ports: FakeServices) -> None:
    admin_consent(ports, apply(ports))

    started = content(
        call(settings.save, ports, {"fromEmailAddress": "new@contoso.com", "largeFileAttachments": False})
    )
    window = opened(Window(started["flowId"], started["startUrl"]), ports)

    assert urlsplit(window.address).path.endswith("/adminconsent")
    assert parse_qs(urlsplit(window.address).query)["state"] == [window.state]
    assert admin_consent(ports, window) is None
    assert shown(ports)["fromEmailAddress"] == "new@contoso.com"
