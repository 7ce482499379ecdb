"""Permissions on the page: offered, granted, surplus, left after a Reset."""

from playwright.sync_api import BrowserContext, Route, expect

from tests.browser.conftest import OpenTab
from tests.browser.tenant_settings import TenantSettings
from tests.local_stack.clients import Admin, Scheduler
from tests.local_stack.microsoft365.contoso import ADA, CLIENT_ID, CONTOSO, REPORTS
from tests.local_stack.stack import LocalStack

MAIL = {"to": ["cfo@contoso.com"], "subject": "Sales", "body": {"contentType": "text", "content": "Up."}}


def choose_application_permission(settings: TenantSettings, address: str) -> None:
    settings.from_address.fill(address)
    settings.page.get_by_text("More options").click()
    settings.page.get_by_role("radio", name="Application").check()


def test_the_application_permission_is_offered_only_with_an_address_list(
    context: BrowserContext, tab: OpenTab, admin: Admin
) -> None:
    without_a_list = admin.settings() | {"applicationAvailable": False}

    def respond(route: Route) -> None:
        route.fulfill(json=without_a_list, headers={"Access-Control-Allow-Origin": "*"})

    listed = tab()
    listed.page.get_by_text("More options").click()
    expect(listed.page.get_by_role("radio", name="Application")).to_be_visible()
    context.route("**/api/tenant-settings/smtp", respond)
    unlisted = tab()
    unlisted.page.get_by_text("More options").click()

    expect(unlisted.page.get_by_role("radio", name="Delegated")).to_be_checked()
    expect(unlisted.page.get_by_role("radio", name="Application")).to_have_count(0)


def test_an_address_that_is_not_listed_names_the_operator(settings: TenantSettings) -> None:
    choose_application_permission(settings, ADA)

    settings.enable.click()

    expect(settings.problem).to_contain_text("application_sender_not_allowed")
    expect(settings.problem).to_contain_text("APPLICATION_SENDERS")
    expect(settings.problem).to_contain_text("The operator of this installation")
    expect(settings.pending).to_be_hidden()


def test_where_exchange_decides_the_page_calls_nothing_granted(
    settings: TenantSettings, stack: LocalStack
) -> None:
    directory = stack.microsoft365.directory
    directory.change_app(CLIENT_ID, exchange_roles=frozenset({REPORTS}))
    try:
        choose_application_permission(settings, REPORTS)
        settings.window_of(settings.enable).consent_as(ADA)
        settings.is_enabled_for(REPORTS)
        # Where no token names a role from the start, a consent is looked into for a minute.
        stack.microsoft365.consents.revoke_application(CLIENT_ID, CONTOSO)
        settings.check_now.click()

        expect(settings.connection_detail("Permissions")).to_contain_text("Decided by Exchange")
        expect(settings.connection_detail("Set up by")).to_have_text(ADA)
        expect(settings.check("Permissions")).to_contain_text("Skipped")
    finally:
        directory.change_app(CLIENT_ID, exchange_roles=frozenset())


def test_a_surplus_permission_is_a_warning_until_it_is_revoked(
    settings: TenantSettings, stack: LocalStack
) -> None:
    stack.microsoft365.grant_consent(REPORTS, "Mail.ReadWrite")
    settings.enable_as(REPORTS, REPORTS)

    expect(settings.connection_detail("Permissions")).to_have_text("Mail.Send")
    expect(settings.connection_detail("Granted but not used")).to_have_text("Mail.ReadWrite")
    expect(settings.check("Permissions")).to_contain_text("Warning")
    expect(settings.check("Permissions")).to_contain_text("A Microsoft 365 admin")

    stack.microsoft365.revoke_consent(REPORTS, "Mail.ReadWrite")
    settings.check_now.click()

    expect(settings.check("Permissions")).to_contain_text("OK")
    expect(settings.connection_detail("Granted but not used")).to_have_count(0)
    expect(settings.badge).to_have_text("Enabled")


def test_before_a_reset_the_dialog_lists_what_remains_at_microsoft(settings: TenantSettings) -> None:
    settings.enable_as(REPORTS, REPORTS)

    settings.reset_button.click()

    dialog = settings.page.get_by_role("dialog")
    expect(dialog).to_contain_text(
        f"The permissions that {REPORTS} granted the app (Mail.Send, Mail.Send.Shared)"
    )
    expect(dialog).to_contain_text("Who must act: A Microsoft 365 admin")


def test_a_message_id_reused_with_other_content_shows_as_a_conflict(
    settings: TenantSettings, scheduler: Scheduler
) -> None:
    settings.enable_as(REPORTS, REPORTS)
    scheduler.queue("browser:conflict", **MAIL)
    row = settings.mail("browser:conflict")
    expect(row).to_contain_text("Accepted")

    scheduler.queue("browser:conflict", **MAIL | {"subject": "Something else"})

    expect(row.get_by_text("Conflict", exact=True)).to_be_visible()
    expect(row).to_contain_text("was not sent")
    expect(row).to_contain_text("Accepted")


def test_a_mail_with_a_picture_that_is_not_attached_shows_a_warning(
    settings: TenantSettings, scheduler: Scheduler
) -> None:
    settings.enable_as(REPORTS, REPORTS)
    body = {"contentType": "html", "content": '<img src="cid:chart1">'}
    scheduler.queue("browser:picture", **MAIL | {"body": body})

    row = settings.mail("browser:picture")
    expect(row).to_contain_text("Accepted")
    expect(row.get_by_text("Warning", exact=True)).to_be_visible()
    expect(row).to_contain_text("chart1")
