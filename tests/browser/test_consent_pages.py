"""The app's own pages in the consent window, as a person meets them."""

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser.chromium import without_cookies
from tests.browser.tenant_settings import OTHER_ACCOUNT, ConsentWindow, TenantSettings
from tests.local_stack.clients import Admin
from tests.local_stack.microsoft365.contoso import ADA, REPORTS
from tests.local_stack.stack import LocalStack

FRAME = """address => {
  const frame = document.createElement("iframe");
  frame.src = address;
  document.body.append(frame);
}"""


def signed_in_as_reports(settings: TenantSettings) -> ConsentWindow:
    """Have Ada press Enable and Reports sign in and accept."""
    settings.from_address.fill(REPORTS)
    window = settings.window_of(settings.enable)
    window.sign_in(REPORTS)
    window.page.get_by_role("button", name="Accept").click()
    window.expect_heading(OTHER_ACCOUNT)
    return window


def test_another_account_sees_the_requester_before_it_consents(
    settings: TenantSettings,
) -> None:
    window = signed_in_as_reports(settings)

    expect(window.page.locator("dl")).to_contain_text(ADA)
    expect(window.page.locator("dl")).to_contain_text("Mail.Send: send mail as you")
    expect(settings.pending).to_contain_text("That person must press Continue in the consent window")
    expect(settings.badge).to_have_text("Not configured")

    window.page.reload()
    window.page.get_by_role("button", name="Continue").click()
    window.expect_heading("Consent complete")
    settings.is_enabled_for(REPORTS)


def test_another_account_refuses(settings: TenantSettings, stack: LocalStack) -> None:
    window = signed_in_as_reports(settings)

    window.page.get_by_role("button", name="Refuse").click()

    window.expect_heading("Consent declined")
    expect(settings.problem).to_contain_text("The account that signed in refused")
    assert list(stack.key_vault.secrets) == []


def test_the_settings_page_shows_that_microsoft_is_confirming(
    settings: TenantSettings, stack: LocalStack
) -> None:
    stack.microsoft365.behaviour.consent_lag = 4.0
    try:
        settings.from_address.fill(ADA)
        window = settings.window_of(settings.enable)
        window.sign_in(ADA)
        window.page.get_by_role("button", name="Accept").click()

        expect(settings.pending).to_contain_text("is confirming the permissions")
        window.expect_heading("Consent complete")
    finally:
        stack.microsoft365.behaviour.consent_lag = 0.0


def test_a_browser_without_cookies_is_warned_before_the_link_is_used(
    browser: Browser, stack: LocalStack, admin: Admin
) -> None:
    started = admin.call("POST", "tenant-settings/smtp/enable", {"fromEmailAddress": ADA}).json()

    with without_cookies(browser, stack.authority.certificate_file) as context:
        page = context.new_page()
        page.goto(started["startUrl"])
        expect(page.get_by_text("This browser blocks cookies for this site")).to_be_visible()
    assert admin.read(f"consent/{started['flowId']}")["stage"] == "link_not_opened"


@pytest.mark.parametrize("path", ["consent/result", "consent/00000000-0000-4000-8000-000000000001/start"])
def test_no_page_can_be_framed(settings: TenantSettings, stack: LocalStack, path: str) -> None:
    page = settings.page.context.new_page()
    page.goto(f"{stack.entra_url}/none")
    page.evaluate(FRAME, f"{stack.api_url}/api/{path}")

    expect(page.frame_locator("iframe").get_by_role("heading", level=1)).to_have_count(0)
    page.wait_for_timeout(500)
    assert page.frames[-1].url.startswith("chrome-error://")


def test_close_reports_a_window_that_no_script_opened(settings: TenantSettings, stack: LocalStack) -> None:
    page = settings.page.context.new_page()
    page.goto(f"{stack.entra_url}/none")
    page.goto(f"{stack.api_url}/api/consent/result?problem=consent_declined")
    page.get_by_role("button", name="Close this window").click()

    expect(page.get_by_role("status")).to_contain_text("Close the window or tab yourself")


def test_close_closes_the_window_that_the_settings_page_opened(settings: TenantSettings) -> None:
    settings.from_address.fill(ADA)
    window = settings.window_of(settings.enable)
    window.sign_in(ADA)
    window.accept()

    with window.page.expect_event("close"):
        window.page.get_by_role("button", name="Close this window").click()


def test_close_works_where_the_browser_refuses_a_channel(settings: TenantSettings, stack: LocalStack) -> None:
    """Firefox refuses it if it blocks the cookies of the site."""
    page = settings.page.context.new_page()
    page.add_init_script("window.BroadcastChannel = class { constructor() { throw new Error('refused'); } };")
    page.goto(f"{stack.api_url}/api/consent/result?problem=consent_declined")
    page.get_by_role("button", name="Close this window").click()

    expect(page.get_by_role("status")).to_contain_text("Close the window or tab yourself")


def test_a_link_without_its_fragment_is_reported_as_incomplete(
    settings: TenantSettings, stack: LocalStack
) -> None:
    page = settings.page.context.new_page()
    page.goto(f"{stack.api_url}/api/consent/00000000-0000-4000-8000-000000000001/start")

    expect(page.get_by_text("This link is incomplete")).to_be_visible()


def test_an_error_at_the_start_link_shows_a_reference_and_a_retry_button(
    settings: TenantSettings, stack: LocalStack
) -> None:
    page = settings.page.context.new_page()
    problem = {"code": "internal_error", "traceId": "4bf92f3577b34da6a3ce929d0e0e4736"}

    def fail(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(status=500, json=problem)
        else:
            route.continue_()

    page.route("**/start", fail)
    page.goto(f"{stack.api_url}/api/consent/00000000-0000-4000-8000-000000000001/start#ticket=some")

    expect(page.get_by_text("The app did not respond")).to_be_visible()
    expect(page.get_by_text(f"Reference for support: {problem['traceId']}")).to_be_visible()
    page.unroute("**/start")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Consent not completed")
