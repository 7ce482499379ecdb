"""Actions on the Tenant Settings page and in Microsoft's windows.

Elements are found by label and role.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from tests.local_stack.stack import LocalStack

OTHER_ACCOUNT = "Let Inforiver send with your account?"
BACK = f"Consent complete|{re.escape(OTHER_ACCOUNT)}"
BACK_FROM_MICROSOFT = re.compile(BACK)
ASKED_OR_BACK = re.compile(f"Permissions requested|{BACK}")


@dataclass(frozen=True)
class ConsentWindow:
    """Microsoft's sign-in and consent pages, in a window of their own."""

    page: Page

    def sign_in(self, address: str) -> None:
        """Pick an account."""
        self.page.get_by_role("button", name=address).click()

    def permissions(self) -> list[str]:
        """List the permissions on the consent page except offline access."""
        expect(self.page.get_by_role("heading", name="Permissions requested")).to_be_visible()
        names = self.page.locator("li code").all_inner_texts()
        return [name for name in names if name != "offline_access"]

    def accept(self) -> None:
        """Press Accept and, if shown, Continue; wait for the completion."""
        self.page.get_by_role("button", name="Accept").click()
        self.press_continue()

    def press_continue(self) -> None:
        """Press Continue if the app requires it; wait for the completion."""
        expect(self.page.get_by_role("heading", name=BACK_FROM_MICROSOFT)).to_be_visible()
        if self.page.get_by_role("heading", name=OTHER_ACCOUNT).is_visible():
            self.page.get_by_role("button", name="Continue").click()
        self.expect_heading("Consent complete")

    def cancel(self) -> None:
        """Press Cancel and wait for the result."""
        self.page.get_by_role("button", name="Cancel").click()
        self.expect_heading("Consent declined")

    def expect_heading(self, title: str) -> None:
        """Wait for the page at the end."""
        expect(self.page.get_by_role("heading", name=title)).to_be_visible()

    def consent_as(self, address: str) -> list[str]:
        """Sign in, accept and close the window; return requested permissions.

        None are requested, and no page is shown, if the account consented to all of them before.
        """
        self.sign_in(address)
        expect(self.page.get_by_role("heading", name=ASKED_OR_BACK)).to_be_visible()
        requested: list[str] = []
        if self.page.get_by_role("button", name="Accept").is_visible():
            requested = self.permissions()
            self.accept()
        else:
            self.press_continue()
        self.page.close()
        return requested


class TenantSettings:
    """The page in one tab."""

    def __init__(self, page: Page, stack: LocalStack) -> None:
        self.page = page
        self.origin = stack.frontend_origin
        self.from_address = page.get_by_label("From Email Address")
        self.single_sender = page.get_by_role("switch", name="Enable Single Sender Identity")
        self.large_files = page.get_by_role("switch", name="Enable large file attachments")
        self.enable = page.get_by_role("button", name="Enable", exact=True)
        self.consent_again = page.get_by_role("button", name="Consent again")
        self.save = page.get_by_role("button", name="Save", exact=True)
        self.reset_button = page.get_by_role("button", name="Reset", exact=True)
        self.test_mail = page.get_by_role("button", name="Send test mail")
        self.check_now = page.get_by_role("button", name="Check now")
        self.start_again = page.get_by_role("button", name="Start again")
        self.news = page.get_by_role("status")
        self.problem = page.get_by_role("alert")
        self.badge = page.locator("#badge")
        self.pending = page.get_by_role("region", name="Waiting for your consent at Microsoft")

    def open(self) -> None:
        """Go to the page by the Settings menu on the left."""
        self.page.goto(self.origin)
        self.page.get_by_role("navigation").get_by_role("link", name="Settings").click()
        expect(self.page.get_by_role("heading", name="Tenant Settings")).to_be_visible()
        self.wait_until_loaded()

    def visit(self) -> None:
        """Go to the page by its address."""
        self.page.goto(f"{self.origin}/settings")
        self.wait_until_loaded()

    def wait_until_loaded(self) -> None:
        """Wait until the page has read the API once."""
        self.page.wait_for_selector("body[data-ready]")

    def connection_detail(self, name: str) -> Locator:
        """Find a detail of the connection by its name."""
        term = self.page.locator("dt").filter(has_text=name)
        return self.page.locator("#facts > div").filter(has=term).locator("dd")

    def check(self, name: str) -> Locator:
        """Find one of the diagnostic checks by its name."""
        named = self.page.get_by_text(name, exact=True)
        return self.page.get_by_role("list", name="Checks").get_by_role("listitem").filter(has=named)

    def mail(self, message_id: str) -> Locator:
        """Find the row of a mail."""
        return self.page.get_by_role("row").filter(has_text=message_id)

    def window_of(self, button: Locator) -> ConsentWindow:
        """Press a button and return the consent window that it opens."""
        with self.page.expect_popup() as opened:
            button.click()
        return ConsentWindow(opened.value)

    def enable_as(self, address: str, account: str, *, large_files: bool = False) -> list[str]:
        """Configure an address by an account and return requested permissions."""
        self.from_address.fill(address)
        if large_files:
            self.large_files.check()
        requested = self.window_of(self.enable).consent_as(account)
        self.is_enabled_for(address)
        return requested

    def is_enabled_for(self, address: str) -> None:
        """Wait until sending from an address is enabled."""
        expect(self.connection_detail("Sender")).to_have_text(address)
        expect(self.badge).to_have_text("Enabled")
        expect(self.from_address).to_have_value(address)

    def reset(self) -> None:
        """Press Reset and confirm."""
        self.reset_button.click()
        self.page.get_by_role("dialog").get_by_role("button", name="Reset settings").click()
        expect(self.badge).to_have_text("Not configured")

    def reload_when(self, done: Callable[[], None]) -> None:
        """Reload the page and run `done` once it is loaded."""
        self.page.reload()
        self.wait_until_loaded()
        done()
