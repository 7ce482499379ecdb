"""The consent window's outcomes and the page's reactions."""

import re
from contextlib import suppress
from urllib.parse import parse_qsl

from playwright.sync_api import BrowserContext, Error, Response, expect

from tests.browser.conftest import OpenTab
from tests.browser.tenant_settings import ConsentWindow, TenantSettings
from tests.local_stack.loopback import loopback_session
from tests.local_stack.microsoft365.contoso import ADA, REPORTS, UMA
from tests.local_stack.stack import LocalStack

BLOCKED = "window.open = () => null;"
REPOST = """fields => {
  const form = document.createElement("form");
  form.method = "post";
  form.action = fields.action;
  for (const [name, value] of fields.pairs) {
    const input = document.createElement("input");
    Object.assign(input, { type: "hidden", name, value });
    form.append(input);
  }
  document.body.append(form);
  form.submit();
}"""


def test_the_outcome_is_shown_although_microsoft_isolates_the_window(
    settings: TenantSettings, context: BrowserContext
) -> None:
    responses: list[Response] = []
    context.on("response", lambda response: responses.append(response))  # noqa: PLW0108 (it sets an attribute)
    settings.from_address.fill(REPORTS)

    window = settings.window_of(settings.enable)
    window.sign_in(REPORTS)
    window.permissions()

    policies = [a.headers.get("cross-origin-opener-policy") for a in responses if "/authorize" in a.url]
    assert policies == ["same-origin", "same-origin"]
    assert window.page.evaluate("window.opener") is None
    window.accept()
    settings.is_enabled_for(REPORTS)
    expect(settings.news).to_have_text(f"Consent complete. Mail is now sent from {REPORTS}.")


def test_a_declined_consent_is_explained_and_changes_nothing(settings: TenantSettings) -> None:
    settings.from_address.fill(REPORTS)
    window = settings.window_of(settings.enable)
    window.sign_in(REPORTS)

    window.cancel()

    expect(settings.problem).to_contain_text("The consent was declined")
    expect(settings.problem).to_contain_text("A workspace admin")
    expect(settings.pending).to_be_hidden()
    expect(settings.badge).to_have_text("Not configured")
    settings.page.get_by_role("button", name="Dismiss: The consent was declined").click()
    expect(settings.problem).to_have_count(0)
    settings.enable_as(REPORTS, REPORTS)


def test_a_save_that_is_declined_leaves_the_old_address_sending(settings: TenantSettings) -> None:
    settings.enable_as(REPORTS, REPORTS)
    settings.from_address.fill(UMA)
    window = settings.window_of(settings.save)
    window.sign_in(UMA)

    window.cancel()

    expect(settings.problem).to_contain_text("The consent was declined")
    settings.reload_when(lambda: settings.is_enabled_for(REPORTS))


def test_a_closed_window_leaves_a_countdown_and_a_restart_button(settings: TenantSettings) -> None:
    settings.from_address.fill(REPORTS)
    settings.window_of(settings.enable).page.close()
    expect(settings.pending).to_contain_text(REPORTS)
    expect(settings.page.get_by_role("timer")).to_have_text(re.compile(r"^(10:00|9:\d\d) left$"))

    settings.window_of(settings.start_again).consent_as(REPORTS)

    settings.is_enabled_for(REPORTS)


def test_a_pending_consent_survives_a_reload_of_the_page(settings: TenantSettings) -> None:
    settings.from_address.fill(REPORTS)
    window = settings.window_of(settings.enable)
    expect(settings.pending).to_be_visible()

    settings.page.reload()

    expect(settings.pending).to_contain_text(REPORTS)
    expect(settings.from_address).to_have_value(REPORTS)
    window.consent_as(REPORTS)
    settings.is_enabled_for(REPORTS)


def test_a_blocked_window_is_replaced_by_a_plain_link(
    settings: TenantSettings, context: BrowserContext
) -> None:
    # Chromium lets a click open a window, whatever its own blocker says; extensions and policies do not.
    settings.page.evaluate(BLOCKED)
    settings.from_address.fill(REPORTS)
    settings.enable.click()
    link = settings.page.get_by_role("link", name="Open Microsoft's consent screen")
    expect(link).to_be_focused()

    with context.expect_page() as opened:
        link.click()
    ConsentWindow(opened.value).consent_as(REPORTS)

    settings.is_enabled_for(REPORTS)


def test_a_used_start_link_is_reported_as_used(settings: TenantSettings, context: BrowserContext) -> None:
    settings.page.evaluate(BLOCKED)
    settings.from_address.fill(REPORTS)
    settings.enable.click()
    link = settings.page.get_by_role("link", name="Open Microsoft's consent screen")
    expect(link).to_be_visible()
    for _ in range(2):
        with context.expect_page() as opened:
            link.click()
        opened.value.wait_for_load_state()

    expect(opened.value.get_by_text("A consent link works once.")).to_be_visible()


def test_the_ticket_is_in_no_request_target_and_a_get_does_not_use_it_up(
    settings: TenantSettings, context: BrowserContext, stack: LocalStack
) -> None:
    targets: list[str] = []
    context.on("request", lambda request: targets.append(request.url.partition("#")[0]))
    settings.page.evaluate(BLOCKED)
    settings.from_address.fill(REPORTS)
    settings.enable.click()
    start_url = settings.page.get_by_role("link", name="Open Microsoft's consent screen").get_attribute(
        "href"
    )
    assert start_url is not None
    address, _, ticket = start_url.partition("#ticket=")

    for purpose in ("prefetch", "prefetch;prerender"):
        with loopback_session(stack.authority.ca_file) as scanner:
            assert scanner.get(address, headers={"Sec-Purpose": purpose}, timeout=10).status_code == 200
    window = ConsentWindow(context.new_page())
    window.page.goto(start_url)
    window.consent_as(REPORTS)

    settings.is_enabled_for(REPORTS)
    assert len(ticket) > 40
    assert not [target for target in targets if ticket in target]


def test_the_callback_can_be_reloaded_and_even_posted_again(
    settings: TenantSettings, context: BrowserContext
) -> None:
    posted: list[tuple[str, str]] = []
    context.on(
        "request",
        lambda request: (
            posted.append((request.url, request.post_data or "")) if "/callback" in request.url else None
        ),
    )
    settings.from_address.fill(REPORTS)
    window = settings.window_of(settings.enable)
    window.sign_in(REPORTS)
    window.accept()
    settings.is_enabled_for(REPORTS)

    window.page.reload()
    window.expect_heading("Consent complete")
    assert "code=" not in window.page.url
    again = context.new_page()
    action, body = posted[0]
    again.evaluate(REPOST, {"action": action, "pairs": parse_qsl(body)})

    ConsentWindow(again).expect_heading("Consent complete")
    assert len(posted) == 2
    settings.reload_when(lambda: settings.is_enabled_for(REPORTS))


def test_an_account_that_needs_admin_approval_changes_nothing(
    settings: TenantSettings,
) -> None:
    settings.from_address.fill(UMA)
    settings.large_files.check()
    window = settings.window_of(settings.enable)
    window.sign_in(UMA)
    expect(window.page.get_by_role("heading", name="Need admin approval")).to_be_visible()

    window.page.get_by_role("button", name="Request approval").click()
    expect(window.page.get_by_role("heading", name="Request sent")).to_be_visible()

    expect(settings.pending).to_be_visible()
    expect(settings.badge).to_have_text("Not configured")
    settings.reset()
    expect(settings.pending).to_be_hidden()


def test_the_application_way_has_an_admin_consent_for_the_organisation(settings: TenantSettings) -> None:
    settings.from_address.fill(REPORTS)
    settings.page.get_by_text("More options").click()
    settings.page.get_by_role("radio", name="Application").check()

    requested = settings.window_of(settings.enable).consent_as(ADA)

    assert requested == ["Mail.Send"]
    settings.is_enabled_for(REPORTS)
    expect(settings.connection_detail("Permission type")).to_contain_text("Application")
    expect(settings.page.get_by_role("radio", name="Application")).to_be_disabled()


def test_the_consent_screen_is_shown_again_only_on_request(settings: TenantSettings) -> None:
    settings.enable_as(ADA, ADA)
    settings.reset()
    assert settings.enable_as(ADA, ADA) == []
    settings.page.get_by_text("More options").click()
    settings.page.get_by_label("Show Microsoft's consent screen again").check()

    window = settings.window_of(settings.save)
    assert window.permissions() == ["Mail.Send"]
    window.accept()

    settings.is_enabled_for(ADA)


def test_another_account_than_the_addresss_own_is_refused_by_name(settings: TenantSettings) -> None:
    settings.from_address.fill(ADA)
    window = settings.window_of(settings.enable)
    window.sign_in(UMA)
    window.page.get_by_role("button", name="Accept").click()

    window.expect_heading("Consent not completed")
    expect(settings.problem).to_contain_text("Another account signed in")
    expect(settings.problem).to_contain_text(f"sign in as {ADA}")
    expect(settings.badge).to_have_text("Not configured")


def test_a_reset_ends_the_consent_in_the_open_window(settings: TenantSettings) -> None:
    settings.from_address.fill(REPORTS)
    window = settings.window_of(settings.enable)
    window.sign_in(REPORTS)
    window.permissions()

    settings.reset()
    window.page.get_by_role("button", name="Accept").click()

    window.expect_heading("Consent not completed")
    expect(window.page.get_by_text("The settings were reset")).to_be_visible()
    expect(settings.badge).to_have_text("Not configured")


def test_a_second_tab_follows_the_same_consent(settings: TenantSettings, tab: OpenTab) -> None:
    settings.from_address.fill(REPORTS)
    window = settings.window_of(settings.enable)
    second = tab()
    expect(second.pending).to_contain_text(REPORTS)

    window.consent_as(REPORTS)

    second.is_enabled_for(REPORTS)
    settings.is_enabled_for(REPORTS)


def test_the_window_closes_on_request(settings: TenantSettings, stack: LocalStack) -> None:
    settings.from_address.fill(ADA)
    window = settings.window_of(settings.enable)
    window.sign_in(ADA)
    window.accept()

    button = window.page.get_by_role("button", name="Close this window")
    # A click that closes its page may have nobody left to tell that it was done.
    with window.page.expect_event("close"), suppress(Error):
        button.click()
