"""The numbered procedures of the page "Configuring Office 365 SMTP"."""

from playwright.sync_api import expect

from tests.browser.tenant_settings import TenantSettings
from tests.local_stack.clients import Admin, Scheduler
from tests.local_stack.microsoft365.contoso import ADA, BOARD, REPORTS, UMA
from tests.local_stack.stack import LocalStack

MAIL = {"to": ["cfo@contoso.com"], "subject": "Sales", "body": {"contentType": "text", "content": "Up."}}
SEND = "Mail.Send"
READ_WRITE = "Mail.ReadWrite"


def test_steps_to_configure_ms_office_365_smtp(settings: TenantSettings) -> None:
    settings.open()
    settings.from_address.press_sequentially("ada@contoso")
    expect(settings.enable).to_be_disabled()
    settings.from_address.press_sequentially(".com")
    expect(settings.enable).to_be_enabled()

    requested = settings.window_of(settings.enable).consent_as(ADA)

    assert requested == [SEND]
    settings.is_enabled_for(ADA)
    expect(settings.connection_detail("Permissions")).to_have_text(SEND)
    expect(settings.connection_detail("Consented by")).to_have_text(ADA)
    expect(settings.single_sender).to_be_checked()
    expect(settings.single_sender).to_be_disabled()


def test_reset_ms_office_smtp_user_tokens(settings: TenantSettings, stack: LocalStack) -> None:
    settings.enable_as(REPORTS, REPORTS)

    settings.reset()

    expect(settings.from_address).to_have_value("")
    expect(settings.connection_detail("Sender")).to_have_count(0)
    settings.enable_as(REPORTS, REPORTS)


def test_update_from_email_address_in_ms_office_smtp(settings: TenantSettings) -> None:
    settings.enable_as(REPORTS, REPORTS)
    settings.open()

    settings.reset()
    settings.enable_as(UMA, UMA)

    settings.reload_when(lambda: settings.is_enabled_for(UMA))


def test_update_from_email_address_without_reset(settings: TenantSettings) -> None:
    settings.enable_as(REPORTS, REPORTS)
    settings.open()
    expect(settings.save).to_be_disabled()
    settings.from_address.fill(UMA)

    window = settings.window_of(settings.save)
    window.sign_in(UMA)
    expect(settings.pending).to_contain_text(UMA)
    expect(settings.connection_detail("Sender")).to_have_text(REPORTS)
    window.accept()

    settings.is_enabled_for(UMA)
    expect(settings.connection_detail("Consented by")).to_have_text(UMA)


def test_steps_to_enable_large_file_attachments_in_ms_office_smtp(settings: TenantSettings) -> None:
    settings.enable_as(ADA, ADA)
    settings.large_files.check()

    requested = settings.window_of(settings.save).consent_as(ADA)

    assert requested == [READ_WRITE]
    expect(settings.connection_detail("Permissions")).to_have_text(f"{READ_WRITE}, {SEND}")
    expect(settings.large_files).to_be_checked()
    expect(settings.large_files).to_be_disabled()
    settings.reset()
    expect(settings.large_files).not_to_be_checked()
    expect(settings.large_files).to_be_enabled()


def test_large_file_attachments_can_be_toggled_before_enable(settings: TenantSettings) -> None:
    requested = settings.enable_as(ADA, ADA, large_files=True)

    assert sorted(requested) == [READ_WRITE, SEND]
    expect(settings.large_files).to_be_disabled()


def test_delegated_mail_box(
    settings: TenantSettings, stack: LocalStack, scheduler: Scheduler, admin: Admin
) -> None:
    requested = settings.enable_as(BOARD, ADA)

    assert requested == [SEND, "Mail.Send.Shared"]
    expect(settings.connection_detail("Delegated mailbox")).to_have_text(f"{ADA} sends as {BOARD}")
    scheduler.queue("browser:delegated", **MAIL | {"subject": "browser:delegated"})
    expect(settings.mail("browser:delegated")).to_contain_text("Accepted")
    (mail,) = (mail for mail in stack.microsoft365.mails() if mail.subject == "browser:delegated")
    assert (mail.from_address.address, mail.caller) == (BOARD, ADA)
