"""The grant of a callback: permissions, account, application consent."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.api import consent, settings
from shared.caller import Caller
from shared.consent.cookie import NAME
from shared.consent.errors import EntraUnavailableError
from shared.errors import ConfigurationError, TransientError
from shared.sending.diagnostics import run_checks
from shared.settings.sender import sender_of
from shared.settings.tenant import Account, ActiveProblem, Authorization, RequestedSender, Status
from tests.api_client import (
    Window,
    a_request,
    call,
    content,
    decide,
    enable,
    finish,
    form_token,
    open_start_link,
    post_ticket,
    read_settings,
)
from tests.builders import ADMIN, a_consent, enabled_services, list_senders
from tests.fakes import CONTOSO, NOON, FakeServices


@pytest.fixture
def ports() -> FakeServices:
    return FakeServices()


def problem_of(ports: FakeServices, window: Window) -> str | None:
    found = content(call(consent.read_flow, ports, route={"flow_id": window.flow_id}))
    return found["problem"]["code"] if found["problem"] else None


def set_account(ports: FakeServices, username: str) -> None:
    ports.authorizer.account = Account(f"{username}-id", CONTOSO, username)


def test_for_the_own_address_of_the_admin_only_mail_send_is_requested(ports: FakeServices) -> None:
    open_start_link(enable(ports, "ADA@contoso.com"), ports)

    assert ports.authorizer.requested_scopes == [("Mail.Send",)]


def test_for_any_other_address_the_shared_permissions_are_requested(ports: FakeServices) -> None:
    open_start_link(enable(ports, "finance@contoso.com", largeFileAttachments=True), ports)

    assert ports.authorizer.requested_scopes == [
        ("Mail.Send", "Mail.ReadWrite", "Mail.Send.Shared", "Mail.ReadWrite.Shared")
    ]


def test_a_delegated_mailbox_shows_both_the_address_and_the_account(ports: FakeServices) -> None:
    finish(open_start_link(enable(ports, "finance@contoso.com"), ports), ports)

    view = read_settings(ports)
    assert view["delegatedMailbox"] is True
    assert (view["fromEmailAddress"], view["consentedBy"]) == ("finance@contoso.com", "ada@contoso.com")
    assert view["permissions"] == ["Mail.Send", "Mail.Send.Shared"]


def test_the_owner_of_the_address_needs_no_shared_permission(ports: FakeServices) -> None:
    window = open_start_link(enable(ports, "reports@contoso.com"), ports)
    set_account(ports, "Reports@contoso.com")
    ports.authorizer.granted = frozenset({"Mail.Send"})

    finish(window, ports)

    assert problem_of(ports, window) is None
    assert read_settings(ports)["delegatedMailbox"] is False


def test_a_colleague_may_consent_and_the_page_names_both(ports: FakeServices) -> None:
    window = open_start_link(enable(ports, "reports@contoso.com"), ports)
    set_account(ports, "reports@contoso.com")

    decide(window, ports, "continue", form_token(finish(window, ports)))

    view = read_settings(ports)
    assert (view["consentStartedBy"], view["consentedBy"]) == ("ada@contoso.com", "reports@contoso.com")


def test_another_account_needs_the_shared_permission(ports: FakeServices) -> None:
    window = open_start_link(enable(ports, "finance@contoso.com"), ports)
    ports.authorizer.granted = frozenset({"Mail.Send"})

    finish(window, ports)

    assert problem_of(ports, window) == "permission_not_granted"


def test_less_than_large_files_need_is_a_problem_and_not_a_smaller_consent(ports: FakeServices) -> None:
    window = open_start_link(enable(ports, largeFileAttachments=True), ports)
    ports.authorizer.granted = frozenset({"Mail.Send"})

    finish(window, ports)

    assert problem_of(ports, window) == "permission_not_granted"
    assert read_settings(ports)["status"] == "not_configured"
    assert ports.vault.secrets == {}


def test_another_account_does_not_take_over_the_admins_own_address(ports: FakeServices) -> None:
    window = open_start_link(enable(ports, "ada@contoso.com"), ports)
    set_account(ports, "uma@contoso.com")

    finish(window, ports)

    assert problem_of(ports, window) == "consent_wrong_account"
    assert ports.vault.secrets == {}


def test_another_account_cannot_take_over_the_address_of_the_first_one() -> None:
    lost = ActiveProblem("consent_lost", NOON, {"account": "reports@contoso.com", "error": "x"})
    ports = enabled_services(
        status=Status.RECONNECT_NEEDED,
        problem=lost,
        sender=RequestedSender("reports@contoso.com"),
        consent=a_consent(account=Account("reports-id", CONTOSO, "reports@contoso.com")),
    )
    window = open_start_link(enable(ports, "reports@contoso.com"), ports)

    finish(window, ports)

    assert problem_of(ports, window) == "consent_account_changed"
    assert read_settings(ports)["status"] == "reconnect_needed"


def test_an_account_that_was_renamed_may_consent_again_for_its_address() -> None:
    reports = Account("reports-id", CONTOSO, "reports@contoso.com")
    ports = enabled_services(
        status=Status.RECONNECT_NEEDED,
        problem=ActiveProblem("consent_lost", NOON, {"account": "reports@contoso.com", "error": "x"}),
        sender=RequestedSender("reports@contoso.com"),
        consent=a_consent(account=reports),
    )
    window = open_start_link(enable(ports, "reports@contoso.com"), ports)
    assert ports.authorizer.requested_scopes == [("Mail.Send",)]
    ports.authorizer.account = Account("reports-id", CONTOSO, "reporting@contoso.com")

    page = finish(window, ports)

    assert problem_of(ports, window) is None
    assert "reporting@contoso.com" in page.body.decode()
    decide(window, ports, "continue", form_token(page))
    view = read_settings(ports)
    assert (view["status"], view["delegatedMailbox"]) == ("enabled", False)
    assert (view["permissions"], view["consentedBy"]) == (["Mail.Send"], "reporting@contoso.com")


# Sign-in name and address


PRIMARY = "ada.lovelace@contoso.com"
#: Signs in as ada@contoso.com, and its mailbox sends from the primary address.
ADA_WITH_ADDRESS = Account("ada-object-id", CONTOSO, "ada@contoso.com", email=PRIMARY)


def complete_and_list_permissions(
    ports: FakeServices, address: str, caller: Caller = ADMIN
) -> tuple[str, ...]:
    """Consent for an address and return the requested permissions."""
    started = content(call(settings.enable, ports, {"fromEmailAddress": address}, caller))
    window = open_start_link(Window(started["flowId"], started["startUrl"]), ports)
    assert finish(window, ports).status == 303
    assert problem_of(ports, window) is None
    return ports.authorizer.requested_scopes[-1]


@pytest.mark.parametrize("address", ["ada@contoso.com", PRIMARY, PRIMARY.upper()])
def test_the_owner_is_recognised_by_sign_in_name_and_by_address(ports: FakeServices, address: str) -> None:
    ports.authorizer.account = ADA_WITH_ADDRESS

    complete_and_list_permissions(ports, address)

    view = read_settings(ports)
    assert (view["delegatedMailbox"], view["permissions"]) == (False, ["Mail.Send"])
    assert view["recipientsSee"] == PRIMARY
    assert sender_of(ports.settings.load(CONTOSO)).from_field is None


def test_no_shared_permissions_are_requested_for_the_admins_own_address(
    ports: FakeServices,
) -> None:
    ports.authorizer.account = ADA_WITH_ADDRESS

    assert complete_and_list_permissions(ports, PRIMARY, replace(ADMIN, email=PRIMARY)) == ("Mail.Send",)


def test_no_shared_permissions_are_requested_for_an_address_of_the_account() -> None:
    ports = enabled_services(consent=a_consent(account=ADA_WITH_ADDRESS))
    ports.authorizer.account = ADA_WITH_ADDRESS
    window = open_start_link(Window(**_saved(ports, PRIMARY)), ports)
    finish(window, ports)

    assert ports.authorizer.requested_scopes == [("Mail.Send",)]
    assert read_settings(ports)["fromEmailAddress"] == PRIMARY


def _saved(ports: FakeServices, address: str) -> dict[str, str]:
    body = {"fromEmailAddress": address, "largeFileAttachments": False}
    started = content(call(settings.save, ports, body))
    return {"flow_id": started["flowId"], "start_url": started["startUrl"]}


def test_an_owner_without_address_in_the_id_token_is_known_by_an_api_token(
    ports: FakeServices,
) -> None:
    assert complete_and_list_permissions(ports, PRIMARY, replace(ADMIN, email=PRIMARY)) == ("Mail.Send",)

    assert (read_settings(ports)["delegatedMailbox"], read_settings(ports)["permissions"]) == (
        False,
        ["Mail.Send"],
    )


def test_an_address_that_microsoft_does_not_return_is_not_shown_as_visible(
    ports: FakeServices,
) -> None:
    complete_and_list_permissions(ports, "ada@contoso.com")
    assert read_settings(ports)["recipientsSee"] is None
    assert "does not return" in run_checks(CONTOSO, None, ports)[0].detail

    ports.authorizer.account = ADA_WITH_ADDRESS
    consent = ports.settings.load(CONTOSO).consent
    assert consent is not None
    ports.tokens.get(CONTOSO, consent, fresh=True)

    assert read_settings(ports)["recipientsSee"] == PRIMARY
    assert PRIMARY in run_checks(CONTOSO, None, ports)[0].detail


def test_what_recipients_see_of_a_shared_mailbox_is_not_known(ports: FakeServices) -> None:
    ports.authorizer.account = ADA_WITH_ADDRESS

    complete_and_list_permissions(ports, "finance@contoso.com")

    assert (read_settings(ports)["delegatedMailbox"], read_settings(ports)["recipientsSee"]) == (True, None)


def test_a_user_who_is_renamed_continues_sending_from_the_own_mailbox(ports: FakeServices) -> None:
    ports.authorizer.account = ADA_WITH_ADDRESS
    complete_and_list_permissions(ports, PRIMARY)
    ports.authorizer.account = Account(
        "ada-object-id", CONTOSO, "ada.king@contoso.com", email="ada.king@contoso.com"
    )
    consent = ports.settings.load(CONTOSO).consent
    assert consent is not None

    ports.tokens.get(CONTOSO, consent, fresh=True)

    sender = sender_of(ports.settings.load(CONTOSO))
    assert (sender.mailbox, sender.from_field, sender.consent.scopes) == (
        "me",
        None,
        frozenset({"Mail.Send"}),
    )
    view = read_settings(ports)
    assert (view["delegatedMailbox"], view["recipientsSee"]) == (False, "ada.king@contoso.com")
    assert view["consentedBy"] == "ada.king@contoso.com"


def test_another_account_does_not_take_over_the_admins_other_address(ports: FakeServices) -> None:
    body = {"fromEmailAddress": PRIMARY}
    started = content(call(settings.enable, ports, body, replace(ADMIN, email=PRIMARY)))
    window = open_start_link(Window(started["flowId"], started["startUrl"]), ports)
    set_account(ports, "uma@contoso.com")

    finish(window, ports)

    assert problem_of(ports, window) == "consent_wrong_account"
    told = content(call(consent.read_flow, ports, route={"flow_id": window.flow_id}))["problem"]["detail"]
    assert f"your own mailbox, {PRIMARY}," in told
    assert told.endswith("sign in as ada@contoso.com.")


def test_an_admin_can_request_the_consent_screen_again(ports: FakeServices) -> None:
    open_start_link(enable(ports, "finance@contoso.com"), ports)
    open_start_link(enable(ports, "finance@contoso.com", askAgain=True), ports)

    assert ports.authorizer.hints == [("ada@contoso.com", False), ("ada@contoso.com", True)]


@pytest.mark.parametrize(
    ("address", "hinted"),
    [
        ("ada@contoso.com", "ada@contoso.com"),
        ("uma@contoso.com", "uma@contoso.com"),
        ("finance@contoso.com", "uma@contoso.com"),
    ],
)
def test_the_consent_screen_is_shown_to_the_account_that_is_needed(address: str, hinted: str) -> None:
    """Nobody can select another account there."""
    ports = enabled_services(consent=a_consent(account=Account("uma-id", CONTOSO, "uma@contoso.com")))
    body = {"fromEmailAddress": address, "largeFileAttachments": False, "askAgain": True}
    started = content(call(settings.save, ports, body))

    open_start_link(Window(started["flowId"], started["startUrl"]), ports)

    assert ports.authorizer.hints == [(hinted, True)]


@pytest.mark.parametrize(
    "error", [EntraUnavailableError(), TransientError("key_vault_unavailable")], ids=lambda error: error.code
)
def test_an_unavailable_service_interrupts_the_consent_for_a_restart(
    ports: FakeServices, error: TransientError
) -> None:
    window = open_start_link(enable(ports), ports)
    ports.authorizer.fail.append(error)

    finish(window, ports)

    assert problem_of(ports, window) == "consent_interrupted"


# The application way


def admin_consent(ports: FakeServices, window: Window, **reply: str) -> str | None:
    """Send the callback of an admin's consent, and return the problem."""
    query = {"state": window.state, "admin_consent": "True", "tenant": "anything", **reply}
    request = a_request(
        query={k: v for k, v in query.items() if v},
        headers={"cookie": f"{NAME}={window.cookie}"},
    )
    assert consent.finish_admin_consent(request, ports).status == 303
    return problem_of(ports, window)


def apply(ports: FakeServices, **members: object) -> Window:
    """Enable a listed sender with application permission and open the link."""
    list_senders(ports, "reports@contoso.com", "new@contoso.com")
    return open_start_link(
        enable(ports, "reports@contoso.com", authorization="application", **members), ports
    )


def test_an_admin_consents_to_application_permissions(ports: FakeServices) -> None:
    window = apply(ports)

    assert "/v2.0/adminconsent?" in window.address
    assert admin_consent(ports, window) is None
    view = read_settings(ports)
    assert (view["status"], view["authorization"]) == ("enabled", "application")
    assert (view["delegatedMailbox"], view["permissions"]) == (False, ["Mail.Send"])
    assert (view["consentedBy"], view["consentStartedBy"]) == (None, "ada@contoso.com")
    assert ports.vault.secrets == {}


def test_with_application_permission_the_mailbox_is_used_directly(ports: FakeServices) -> None:
    admin_consent(ports, apply(ports))

    sender = sender_of(ports.settings.load(CONTOSO), ports.application_senders)

    assert (sender.mailbox, sender.from_field, sender.account) == (
        "users/reports%40contoso.com",
        None,
        "the app",
    )
    assert ports.tokens.get(CONTOSO, sender.consent) == "access-2"
    assert ports.authorizer.refreshed == ["app-only", "app-only"]


@pytest.mark.parametrize(
    ("caller", "connected", "mailbox"),
    [
        (ADMIN, None, "users/reports%40contoso.com"),
        (replace(ADMIN, email="reports@contoso.com"), None, "users/ada-object-id"),
        (ADMIN, Account("r-id", CONTOSO, "r1@contoso.com", email="Reports@Contoso.com"), "users/r-id"),
    ],
    ids=["not known", "the admin's own", "of the account that consented before"],
)
def test_the_app_uses_the_object_id_of_a_mailbox_whose_owner_is_known(
    caller: Caller, connected: Account | None, mailbox: str, ports: FakeServices
) -> None:
    if connected:
        lost = ActiveProblem("consent_lost", NOON, {"account": "a", "error": "x"})
        consent = a_consent(account=connected)
        ports = enabled_services(status=Status.RECONNECT_NEEDED, problem=lost, consent=consent)
    list_senders(ports, "reports@contoso.com")
    body = {"fromEmailAddress": "reports@contoso.com", "authorization": "application"}
    started = content(call(settings.enable, ports, body, caller))
    window = open_start_link(Window(started["flowId"], started["startUrl"]), ports)

    assert admin_consent(ports, window) is None

    sender = sender_of(ports.settings.load(CONTOSO), ports.application_senders)
    assert (sender.mailbox, sender.address) == (mailbox, "reports@contoso.com")
    assert sender.is_found_by_address == (connected is None and caller is ADMIN)
    assert read_settings(ports)["recipientsSee"] is None


def test_a_new_application_consent_keeps_the_object_id_of_the_same_mailbox() -> None:
    consent = a_consent(account=None, secret_name=None, mailbox_id="r-id")
    ports = enabled_services(
        status=Status.RECONNECT_NEEDED,
        problem=ActiveProblem("app_removed", NOON, {"error": "AADSTS700016"}),
        sender=RequestedSender("reports@contoso.com", authorization=Authorization.APPLICATION),
        consent=consent,
    )

    assert admin_consent(ports, apply(ports)) is None

    assert sender_of(ports.settings.load(CONTOSO), ports.application_senders).mailbox == "users/r-id"


@pytest.mark.parametrize("error", ["consent_required", "permission_denied", "access_denied"])
def test_a_decline_can_contain_admin_consent_true(ports: FakeServices, error: str) -> None:
    window = apply(ports)

    assert admin_consent(ports, window, error=error) == "consent_declined"
    assert read_settings(ports)["status"] == "not_configured"
    assert ports.authorizer.refreshed == []


@pytest.mark.parametrize("value", ["", "False", "yes"])
def test_without_a_clear_yes_nothing_is_taken(ports: FakeServices, value: str) -> None:
    assert admin_consent(ports, apply(ports), admin_consent=value) == "consent_reply_invalid"
    assert read_settings(ports)["status"] == "not_configured"


def test_a_yes_without_a_token_to_prove_it_is_none(ports: FakeServices) -> None:
    window = apply(ports)
    ports.authorizer.fail.append(ConfigurationError("app_registration_wrong", error="AADSTS700016"))

    assert admin_consent(ports, window) == "app_registration_wrong"
    assert read_settings(ports)["status"] == "not_configured"


def test_a_token_with_less_than_large_files_need_is_a_problem(ports: FakeServices) -> None:
    assert admin_consent(ports, apply(ports, largeFileAttachments=True)) == "permission_not_granted"


def test_permissions_that_exchange_gives_are_used_and_never_called_granted(ports: FakeServices) -> None:
    ports.authorizer.roles = frozenset()

    assert admin_consent(ports, apply(ports, largeFileAttachments=True)) is None
    view = read_settings(ports)
    assert (view["permissions"], view["exchangeDecides"]) == ([], True)
    assert sender_of(ports.settings.load(CONTOSO), ports.application_senders).may_draft


def test_a_token_that_cannot_be_read_is_proven_by_use(ports: FakeServices) -> None:
    ports.authorizer.roles = None

    assert admin_consent(ports, apply(ports, largeFileAttachments=True)) is None
    view = read_settings(ports)
    assert (view["status"], view["permissions"], view["exchangeDecides"]) == ("enabled", [], False)
    sender = sender_of(ports.settings.load(CONTOSO), ports.application_senders)
    assert ports.tokens.get(CONTOSO, sender.consent)
    assert sender.may_draft
    check = next(each for each in run_checks(CONTOSO, None, ports) if each.name == "permissions")
    assert (check.outcome, "can't be read" in check.detail) == ("skipped", True)


def test_an_unreadable_token_does_not_clear_the_known_permissions(ports: FakeServices) -> None:
    assert admin_consent(ports, apply(ports)) is None
    ports.authorizer.roles = None

    ports.tokens.get(CONTOSO, sender_of(ports.settings.load(CONTOSO), ports.application_senders).consent)

    assert (read_settings(ports)["status"], read_settings(ports)["permissions"]) == ("enabled", ["Mail.Send"])


def test_a_response_without_scope_grants_the_requested_scope(ports: FakeServices) -> None:
    ports.authorizer.granted = frozenset()
    ports.authorizer.later = [None]

    assert finish(open_start_link(enable(ports), ports), ports).status == 303
    assert read_settings(ports)["permissions"] == ["Mail.Send"]


def test_a_role_beyond_the_request_is_shown_and_not_used(ports: FakeServices) -> None:
    ports.authorizer.roles = frozenset({"Mail.Send", "Mail.ReadWrite"})

    assert admin_consent(ports, apply(ports)) is None
    view = read_settings(ports)
    assert (view["permissions"], view["surplusPermissions"]) == (["Mail.Send"], ["Mail.ReadWrite"])
    assert not sender_of(ports.settings.load(CONTOSO), ports.application_senders).may_draft


def test_no_admin_consent_is_requested_for_a_sender_that_is_not_listed(ports: FakeServices) -> None:
    list_senders(ports, "reports@contoso.com")
    window = enable(ports, "reports@contoso.com", authorization="application")
    list_senders(ports)

    reply = post_ticket(window, ports)

    assert "problem=application_sender_not_allowed" in content(reply)["location"]


def test_a_sender_removed_from_the_list_before_the_callback_is_refused(ports: FakeServices) -> None:
    window = apply(ports)
    list_senders(ports, "new@contoso.com")

    assert admin_consent(ports, window) == "application_sender_not_allowed"
    assert read_settings(ports)["status"] == "not_configured"
    assert ports.authorizer.refreshed == []


def test_the_callback_of_one_permission_does_not_finish_the_other(ports: FakeServices) -> None:
    delegated = open_start_link(enable(ports), ports)
    assert admin_consent(ports, delegated) == "consent_reply_invalid"

    application = apply(ports)
    finish(application, ports)
    assert problem_of(ports, application) == "consent_reply_invalid"
    assert read_settings(ports)["status"] == "not_configured"


def test_a_change_of_the_way_deletes_the_users_tokens() -> None:
    lost = ActiveProblem("consent_lost", NOON, {"account": "a", "error": "x"})
    ports = enabled_services(status=Status.RECONNECT_NEEDED, problem=lost)

    admin_consent(ports, apply(ports))

    assert read_settings(ports)["authorization"] == "application"
    assert ports.vault.secrets == {}


def test_save_keeps_the_kind_of_permission(ports: FakeServices) -> None:
    admin_consent(ports, apply(ports))

    started = content(
        call(settings.save, ports, {"fromEmailAddress": "new@contoso.com", "largeFileAttachments": False})
    )
    window = open_start_link(Window(started["flowId"], started["startUrl"]), ports)

    assert urlsplit(window.address).path.endswith("/adminconsent")
    assert parse_qs(urlsplit(window.address).query)["state"] == [window.state]
    assert admin_consent(ports, window) is None
    assert read_settings(ports)["fromEmailAddress"] == "new@contoso.com"
