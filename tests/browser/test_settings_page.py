"""The settings page: validation, keyboard, errors, checks and mails."""

import re

from playwright.sync_api import Browser, BrowserContext, Locator, expect

from tests.browser.chromium import without_cookies
from tests.browser.conftest import OpenTab
from tests.browser.tenant_settings import ConsentWindow, TenantSettings
from tests.local_stack.clients import Admin, Scheduler, mails_of
from tests.local_stack.microsoft365 import Effect
from tests.local_stack.microsoft365.contoso import ADA, BOARD, FINANCE, MALLORY, REPORTS, UMA
from tests.local_stack.operator_commands import operate
from tests.local_stack.stack import LocalStack

MAIL = {"to": ["cfo@contoso.com"], "subject": "Sales", "body": {"contentType": "text", "content": "Up."}}
UNNAMED = """() => [...document.querySelectorAll("input, select, button, a[href], dialog, nav, table")]
  .filter(e => e.checkVisibility())
  .filter(e => !(e.labels?.length || e.textContent.trim() || e.ariaLabel))
  .map(e => e.outerHTML)"""
MAX_TABS = 30


def tab_to(page: TenantSettings, target: Locator) -> None:
    """Press Tab until an element has the focus, which must be visible."""
    for _ in range(MAX_TABS):
        page.page.keyboard.press("Tab")
        if target.evaluate("e => e === document.activeElement"):
            assert target.evaluate("e => getComputedStyle(e).outlineStyle") != "none"
            return
    raise AssertionError(f"{MAX_TABS} presses of Tab did not reach {target}")


def test_an_address_is_judged_when_it_is_left_not_while_it_is_typed(settings: TenantSettings) -> None:
    message = settings.page.get_by_text("Enter one full address, such as")
    settings.from_address.press_sequentially("reports@")
    expect(message).to_be_hidden()

    settings.from_address.blur()
    expect(message).to_be_visible()
    expect(settings.from_address).to_have_attribute("aria-invalid", "true")
    expect(settings.enable).to_be_disabled()

    settings.from_address.fill(REPORTS)
    expect(message).to_be_hidden()
    expect(settings.enable).to_be_enabled()


def test_an_address_that_only_the_api_can_judge_is_refused_by_field(settings: TenantSettings) -> None:
    settings.from_address.fill("reports@contoso.invalid")

    settings.enable.click()

    expect(settings.problem).to_contain_text("The From Email Address is not valid")
    expect(settings.problem).to_contain_text("fromEmailAddress:")
    expect(settings.problem).to_contain_text("invalid_from_email_address")
    expect(settings.pending).to_be_hidden()


def test_everything_works_with_the_keyboard_only(settings: TenantSettings, context: BrowserContext) -> None:
    keyboard = settings.page.keyboard
    tab_to(settings, settings.from_address)
    keyboard.type(ADA)
    tab_to(settings, settings.large_files)
    keyboard.press("Space")
    tab_to(settings, settings.enable)
    with settings.page.expect_popup() as opened:
        keyboard.press("Enter")
    window = ConsentWindow(opened.value)
    window.page.get_by_role("button", name=ADA).press("Enter")
    window.page.get_by_role("button", name="Accept").press("Enter")
    window.expect_heading("Consent complete")
    settings.is_enabled_for(ADA)

    tab_to(settings, settings.reset_button)
    keyboard.press("Enter")
    expect(settings.page.get_by_role("dialog")).to_be_visible()
    keyboard.press("Escape")
    expect(settings.page.get_by_role("dialog")).to_be_hidden()
    expect(settings.reset_button).to_be_focused()
    keyboard.press("Enter")
    expect(settings.page.get_by_role("button", name="Cancel")).to_be_focused()
    keyboard.press("Tab")
    keyboard.press("Enter")

    expect(settings.badge).to_have_text("Not configured")
    expect(settings.from_address).to_be_focused()


def test_the_page_shows_which_address_recipients_see(settings: TenantSettings, stack: LocalStack) -> None:
    reports = stack.microsoft365.user(REPORTS)
    stack.microsoft365.directory.change_user(REPORTS, sign_in_name="r1@contoso.com")
    try:
        settings.enable_as("r1@contoso.com", "r1@contoso.com")
        expect(settings.connection_detail("Sender")).to_have_text("r1@contoso.com")
        expect(settings.connection_detail("Recipients see")).to_have_text(REPORTS)
        expect(settings.page.get_by_text(f"Mail is now sent from {REPORTS}.")).to_be_visible()
    finally:
        stack.microsoft365.directory.add(reports)


def test_the_page_shows_that_the_visible_address_is_unknown(settings: TenantSettings) -> None:
    settings.enable_as(FINANCE, ADA)

    expect(settings.connection_detail("Recipients see")).to_contain_text("not known here")


def test_enter_in_the_address_field_does_what_the_button_does(settings: TenantSettings) -> None:
    settings.from_address.fill(REPORTS)

    with settings.page.expect_popup() as opened:
        settings.from_address.press("Enter")

    ConsentWindow(opened.value).consent_as(REPORTS)
    settings.is_enabled_for(REPORTS)


def test_enter_saves_where_sending_is_enabled(settings: TenantSettings) -> None:
    settings.enable_as(ADA, ADA)
    settings.from_address.fill(REPORTS)

    with settings.page.expect_popup() as opened:
        settings.from_address.press("Enter")

    ConsentWindow(opened.value).consent_as(REPORTS)
    settings.is_enabled_for(REPORTS)


def test_the_page_works_where_the_browser_stores_nothing(
    browser: Browser, stack: LocalStack, admin: Admin
) -> None:
    with without_cookies(browser, stack.authority.certificate_file) as context:
        settings = TenantSettings(context.new_page(), stack)
        settings.visit()
        expect(settings.badge).to_have_text("Not configured")

        settings.page.get_by_label("Signed in as").select_option(UMA)
        expect(settings.problem).to_contain_text("Only a workspace admin may do this")
        expect(settings.page.get_by_label("Signed in as")).to_have_value(UMA)


def test_the_page_does_not_claim_that_a_closed_window_is_open(settings: TenantSettings) -> None:
    settings.from_address.fill(ADA)
    settings.window_of(settings.enable).page.close()

    expect(settings.news).to_have_text(
        "Microsoft's consent screen was opened in a new window. If you have closed it, press Start again."
    )
    expect(settings.pending).to_contain_text("If it is closed, press Start again")


def test_everything_has_a_name_for_a_screen_reader(settings: TenantSettings) -> None:
    settings.enable_as(REPORTS, REPORTS)

    assert settings.page.evaluate(UNNAMED) == []
    expect(settings.news).to_have_attribute("aria-live", "polite")


def test_nothing_is_cut_off_on_a_telephone(settings: TenantSettings) -> None:
    settings.page.set_viewport_size({"width": 360, "height": 740})

    assert settings.page.evaluate("document.documentElement.scrollWidth") == 360


def test_who_is_no_workspace_admin_is_refused_and_sees_nothing(settings: TenantSettings) -> None:
    settings.enable_as(REPORTS, REPORTS)

    settings.page.get_by_label("Signed in as").select_option(UMA)
    expect(settings.problem).to_contain_text("Only a workspace admin may do this")
    expect(settings.from_address).to_be_hidden()
    expect(settings.page.get_by_text(REPORTS).filter(visible=True)).to_have_count(0)

    settings.page.get_by_label("Signed in as").select_option(MALLORY)
    expect(settings.problem).to_contain_text("this installation does not serve your organisation")
    expect(settings.page.get_by_text(REPORTS).filter(visible=True)).to_have_count(0)

    settings.page.get_by_label("Signed in as").select_option(ADA)
    settings.is_enabled_for(REPORTS)
    expect(settings.problem).to_have_count(0)


def test_a_lost_consent_is_shown_and_repaired_by_one_consent(
    settings: TenantSettings, stack: LocalStack, scheduler: Scheduler
) -> None:
    settings.enable_as(REPORTS, REPORTS)
    stack.microsoft365.faults.add("sendMail", "token expired")
    stack.microsoft365.faults.add("token", "grant revoked", times=2)
    scheduler.queue("browser:lost", **MAIL)
    expect(settings.mail("browser:lost")).to_contain_text("Waiting for consent")

    settings.page.reload()
    expect(settings.badge).to_have_text("Consent needed again")
    expect(settings.problem).to_contain_text("consent_lost")
    expect(settings.problem).to_contain_text("A workspace admin")
    expect(settings.connection_detail("Waiting")).to_have_text("1 mail, until someone acts")
    stack.microsoft365.faults.clear()
    settings.window_of(settings.consent_again).consent_as(REPORTS)

    settings.is_enabled_for(REPORTS)
    expect(settings.problem).to_have_count(0)
    expect(settings.mail("browser:lost")).to_contain_text("Accepted")


def test_an_operators_error_names_the_operator(
    settings: TenantSettings, stack: LocalStack, scheduler: Scheduler
) -> None:
    settings.enable_as(REPORTS, REPORTS)
    stack.microsoft365.faults.add("sendMail", "token expired")
    stack.microsoft365.faults.add("token", Effect(aadsts=70011), times=2)
    scheduler.queue("browser:operator", **MAIL)
    expect(settings.mail("browser:operator")).to_contain_text("Waiting for the operator")

    settings.page.reload()

    expect(settings.badge).to_have_text("Operator must act")
    expect(settings.problem).to_contain_text("The operator of this installation")
    expect(settings.problem).to_contain_text("app_registration_wrong")


def test_a_test_mail_is_sent_to_the_admin_and_its_outcome_is_shown(
    settings: TenantSettings, stack: LocalStack
) -> None:
    settings.enable_as(REPORTS, REPORTS)

    settings.test_mail.click()
    dialog = settings.page.get_by_role("dialog")
    dialog.get_by_label("To").fill("nobody")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.get_by_text("Enter one full address, or none.")).to_be_visible()
    dialog.get_by_label("To").clear()
    dialog.get_by_role("button", name="Send").click()

    expect(settings.mail("test-mail:")).to_contain_text("Accepted")
    (message_id,) = re.findall(r"test-mail:\S+", settings.mail("test-mail:").inner_text())
    (mail,) = mails_of(stack.microsoft365.mails(), message_id)
    assert [address.address for address in mail.to] == [ADA]


def test_a_mail_of_unknown_fate_can_be_sent_again(
    settings: TenantSettings, stack: LocalStack, scheduler: Scheduler
) -> None:
    settings.enable_as(REPORTS, REPORTS)
    stack.microsoft365.faults.add("sendMail", "timeout")
    scheduler.queue("browser:unknown", **MAIL)
    row = settings.mail("browser:unknown")
    expect(row).to_contain_text("It is unknown whether the mail was sent")
    expect(row).to_contain_text("A workspace admin")

    row.get_by_role("button", name="Retry").click()

    expect(row).to_contain_text("Accepted")
    expect(row.get_by_role("button")).to_have_count(0)


def test_mails_of_one_state_are_retried_together(
    settings: TenantSettings, stack: LocalStack, scheduler: Scheduler
) -> None:
    settings.enable_as(REPORTS, REPORTS)
    stack.microsoft365.faults.add("sendMail", "timeout")
    stack.microsoft365.faults.add("sendMail", "timeout")
    for name in ("browser:many-1", "browser:many-2"):
        scheduler.queue(name, **MAIL)
        expect(settings.mail(name)).to_contain_text("It is unknown whether the mail was sent")

    settings.page.get_by_role("button", name="Retry many").click()
    dialog = settings.page.get_by_role("dialog")
    dialog.get_by_label("State").select_option("Unknown")
    dialog.get_by_role("button", name="Retry").click()

    expect(settings.news).to_have_text("2 mails are queued again.")
    for name in ("browser:many-1", "browser:many-2"):
        expect(settings.mail(name)).to_contain_text("Accepted")


def test_a_missing_right_to_send_as_the_address_names_who_grants_what(
    settings: TenantSettings, scheduler: Scheduler
) -> None:
    settings.enable_as(BOARD, REPORTS)

    scheduler.queue("browser:send-as", **MAIL)

    row = settings.mail("browser:send-as")
    expect(row).to_contain_text(f"{REPORTS} has no Send As permission on {BOARD}")
    expect(row).to_contain_text("Who must act: A Microsoft 365 admin")


def test_a_consent_is_checked_at_once_and_again_on_request(
    settings: TenantSettings, stack: LocalStack
) -> None:
    settings.enable_as(ADA, ADA, large_files=True)
    for name in ("Consent", "Permissions", "Access token", "Mailbox"):
        expect(settings.check(name)).to_contain_text("OK")
    expect(settings.check("Sending as the From address")).to_contain_text("Skipped")

    stack.microsoft365.faults.add("token", "grant revoked", times=2)
    settings.check_now.click()

    expect(settings.check("Access token")).to_contain_text("Failed")
    expect(settings.check("Access token")).to_contain_text("A workspace admin")
    expect(settings.news).to_have_text("The check failed at: Access token.")
    expect(settings.badge).to_have_text("Consent needed again")


def test_of_two_admins_at_once_the_second_gets_a_conflict(
    settings: TenantSettings, tab: OpenTab, admin: Admin
) -> None:
    settings.enable_as(REPORTS, REPORTS)
    second = tab()

    settings.reset()
    second.from_address.fill(UMA)
    second.save.click()

    expect(second.problem).to_contain_text("The settings have changed")
    expect(second.badge).to_have_text("Not configured")


def test_after_a_reset_the_page_shows_which_tokens_still_exist(
    settings: TenantSettings, context: BrowserContext, tab: OpenTab, admin: Admin
) -> None:
    settings.enable_as(REPORTS, REPORTS)
    settings.reset()
    expect(settings.connection_detail("Deleted tokens, recoverable by the operator until")).to_be_visible()
    expect(settings.connection_detail("Old tokens")).to_have_count(0)

    not_deleted = admin.settings() | {"tokensLeftBehind": True}
    context.route(
        "**/api/tenant-settings/smtp",
        lambda route: route.fulfill(json=not_deleted, headers={"Access-Control-Allow-Origin": "*"}),
    )
    expect(tab().connection_detail("Old tokens")).to_have_text(
        "still in the vault, unused; the app tries every day to delete them"
    )


def test_a_pause_of_sending_is_shown_with_its_reason_until_it_ends(
    settings: TenantSettings, stack: LocalStack, scheduler: Scheduler
) -> None:
    settings.enable_as(REPORTS, REPORTS)
    operate(stack.azurite.connection_string, "pause", "--reason", "installing version 1.4")
    try:
        operate(stack.azurite.connection_string, "wait")
        scheduler.queue("browser:paused", **MAIL)
        expect(settings.mail("browser:paused")).to_contain_text("Sending is paused")
        settings.page.reload()
        expect(settings.problem).to_contain_text("Sending is paused")
        expect(settings.problem).to_contain_text("installing version 1.4")
        expect(settings.problem).to_contain_text("The operator of this installation")
        expect(settings.badge).to_have_text("Enabled")
    finally:
        operate(stack.azurite.connection_string, "resume")

    # The page reads the settings every 15 seconds, and each process the switch every ten.
    expect(settings.problem).to_have_count(0, timeout=40_000)
    expect(settings.mail("browser:paused")).to_contain_text("Accepted", timeout=60_000)
