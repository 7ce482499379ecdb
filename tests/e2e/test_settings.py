"""The functions of the Tenant Settings page up to the accepted mail."""

from typing import Any

import pytest

from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin, mails_of
from tests.local_stack.microsoft365 import AcceptedMail
from tests.local_stack.microsoft365.contoso import ADA, BOARD, CLIENT_ID, CONTOSO, FINANCE, REPORTS
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.stack

SETTINGS = "tenant-settings/smtp"


def enable(admin: Admin, browser: BrowserClient, address: str, account: str = ADA, **members: Any) -> str:
    """Enable and consent, and return the heading of the last page."""
    body = {"fromEmailAddress": address, **members}
    started = admin.call("POST", f"{SETTINGS}/enable", body).json()
    return browser.consent(started["startUrl"], account).title


def send_test_mail(admin: Admin, stack: LocalStack) -> AcceptedMail:
    """Send a test mail and return the mail that Graph accepted."""
    queued = admin.call("POST", f"{SETTINGS}/test-mail").json()
    admin.delivery(queued["messageId"], "accepted")
    (mail,) = mails_of(stack.microsoft365.mails(), queued["messageId"])
    assert mail.subject == "Test mail from Inforiver"
    return mail


def test_a_shared_mailbox_is_sent_from_by_the_account_that_consented(
    admin: Admin, browser: BrowserClient, stack: LocalStack
) -> None:
    assert enable(admin, browser, FINANCE) == "Consent complete"

    mail = send_test_mail(admin, stack)

    assert (mail.from_address.address, mail.sender.address, mail.mailbox) == (FINANCE, FINANCE, ADA)
    assert admin.settings()["delegatedMailbox"] is True
    assert admin.settings()["permissions"] == ["Mail.Send", "Mail.Send.Shared"]


def test_a_mailbox_with_another_sign_in_name_belongs_to_its_owner(
    admin: Admin, browser: BrowserClient, stack: LocalStack
) -> None:
    reports = stack.microsoft365.user(REPORTS)
    stack.microsoft365.directory.change_user(REPORTS, sign_in_name="r1@contoso.com")
    try:
        body = {"fromEmailAddress": REPORTS}
        started = admin.call("POST", f"{SETTINGS}/enable", body).json()
        browser.open(started["startUrl"])
        browser.choose("r1@contoso.com")
        browser.accept()
        assert browser.press("decision", "continue").title == "Consent complete"

        mail = send_test_mail(admin, stack)
    finally:
        stack.microsoft365.directory.add(reports)

    assert (mail.from_address.address, mail.caller) == (REPORTS, REPORTS)
    settings = admin.settings()
    assert (settings["delegatedMailbox"], settings["permissions"]) == (False, ["Mail.Send"])
    assert (settings["consentedBy"], settings["recipientsSee"]) == ("r1@contoso.com", REPORTS)
    assert settings["surplusPermissions"] == []


def test_the_app_finds_no_mailbox_by_an_address_that_is_no_sign_in_name(
    admin: Admin, browser: BrowserClient, stack: LocalStack
) -> None:
    reports = stack.microsoft365.user(REPORTS)
    stack.microsoft365.directory.change_user(REPORTS, sign_in_name="r1@contoso.com")
    try:
        enable(admin, browser, REPORTS, authorization="application")
        queued = admin.call("POST", f"{SETTINGS}/test-mail").json()
        delivery = admin.delivery(queued["messageId"], "deferred")
    finally:
        stack.microsoft365.directory.add(reports)
        stack.microsoft365.consents.revoke_application(CLIENT_ID, CONTOSO)

    assert delivery["problem"]["code"] == "mailbox_not_found"
    assert "enters the sign-in name as From address" in delivery["problem"]["detail"]


def test_a_group_without_a_mailbox_is_sent_from_too(
    admin: Admin, browser: BrowserClient, stack: LocalStack
) -> None:
    enable(admin, browser, BOARD)

    mail = send_test_mail(admin, stack)

    assert mail.from_address.address == BOARD


def test_with_application_permission_mail_is_sent_without_stored_tokens(
    admin: Admin, browser: BrowserClient, stack: LocalStack
) -> None:
    assert enable(admin, browser, REPORTS, authorization="application") == "Consent complete"

    mail = send_test_mail(admin, stack)

    assert (mail.caller, mail.mailbox, mail.from_address.address) == ("", REPORTS, REPORTS)
    settings = admin.settings()
    assert (settings["authorization"], settings["permissions"]) == ("application", ["Mail.Send"])
    assert settings["consentedBy"] is None
    assert list(stack.key_vault.secrets) == []
    stack.microsoft365.consents.revoke_application(CLIENT_ID, CONTOSO)


def test_after_one_consent_the_app_sends_from_no_other_mailbox(
    admin: Admin, browser: BrowserClient, stack: LocalStack
) -> None:
    enable(admin, browser, REPORTS, authorization="application")

    saved = admin.call("PUT", SETTINGS, {"fromEmailAddress": ADA, "largeFileAttachments": False})
    admin.call("POST", f"{SETTINGS}/reset")
    body = {"fromEmailAddress": ADA, "authorization": "application"}
    enabled = admin.call("POST", f"{SETTINGS}/enable", body)

    assert [(each.status_code, each.json()["code"]) for each in (saved, enabled)] == [
        (409, "application_sender_not_allowed")
    ] * 2
    assert stack.microsoft365.consents.application(CLIENT_ID, CONTOSO) == ["Mail.Send"]
    stack.microsoft365.consents.revoke_application(CLIENT_ID, CONTOSO)


def test_where_exchange_limits_the_app_no_permission_is_called_granted(
    admin: Admin, browser: BrowserClient, stack: LocalStack
) -> None:
    directory = stack.microsoft365.directory
    directory.change_app(CLIENT_ID, exchange_roles=frozenset({REPORTS}))
    try:
        enable(admin, browser, REPORTS, authorization="application")
        # Where no token names a role from the start, a consent is looked into for a minute.
        stack.microsoft365.consents.revoke_application(CLIENT_ID, CONTOSO)
        admin.call("POST", f"{SETTINGS}/check")

        mail = send_test_mail(admin, stack)
        checks = {each["name"]: each for each in admin.call("POST", f"{SETTINGS}/check").json()["checks"]}
        settings = admin.settings()
    finally:
        directory.change_app(CLIENT_ID, exchange_roles=frozenset())

    assert mail.mailbox == REPORTS
    assert (settings["permissions"], settings["exchangeDecides"]) == ([], True)
    assert checks["permissions"]["status"] == "skipped"
    assert "Exchange decides" in checks["permissions"]["detail"]


def test_until_the_new_address_is_consented_to_the_old_one_sends(
    admin: Admin, browser: BrowserClient, stack: LocalStack
) -> None:
    enable(admin, browser, ADA)
    body = {"fromEmailAddress": FINANCE, "largeFileAttachments": False}
    started = admin.call("PUT", SETTINGS, body).json()

    before = send_test_mail(admin, stack)
    browser.consent(started["startUrl"], ADA)
    after = send_test_mail(admin, stack)

    assert (before.from_address.address, after.from_address.address) == (ADA, FINANCE)
    assert len(stack.key_vault.secrets) == 1


def test_a_revoked_consent_is_noticed_and_one_consent_repairs_it(
    admin: Admin, browser: BrowserClient, stack: LocalStack
) -> None:
    enable(admin, browser, ADA)
    stack.microsoft365.grants.revoke_sessions(stack.microsoft365.user(ADA).object_id)

    checks = {c["name"]: c for c in admin.call("POST", f"{SETTINGS}/check").json()["checks"]}
    lost = admin.settings()
    title = enable(admin, BrowserClient(stack.authority.ca_file), ADA)
    mail = send_test_mail(admin, stack)

    assert checks["token"]["problem"]["code"] == "consent_lost"
    assert (lost["status"], lost["problem"]["whoActs"]) == ("reconnect_needed", "workspace_admin")
    assert title == "Consent complete"
    assert admin.settings()["status"] == "enabled"
    assert mail.from_address.address == ADA


def test_the_whole_stack_is_ready_and_describes_itself(admin: Admin, stack: LocalStack) -> None:
    ready = admin.read("health/ready")
    described = admin.read("openapi.json")

    assert ready["status"] == "ready", ready
    assert set(ready["parts"]) == {
        "tables",
        "queue",
        "blobs",
        "vault",
        "entra",
        "switch",
        "poisonQueue",
        "outbox",
    }
    assert described["openapi"].startswith("3.1")
