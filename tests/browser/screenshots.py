"""`make screenshots`: PNG files of each page state in docs/images/."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.chromium import chromium, chromium_path
from tests.browser.tenant_settings import OTHER_ACCOUNT, TenantSettings
from tests.local_stack.clients import Scheduler
from tests.local_stack.host_process import REPOSITORY
from tests.local_stack.microsoft365 import Effect
from tests.local_stack.microsoft365.contoso import ADA, BOARD, CONTOSO, REPORTS
from tests.local_stack.operator_commands import operate
from tests.local_stack.stack import QUICK, LocalStack

IMAGES = REPOSITORY / "docs" / "images"
WIDE: ViewportSize = {"width": 1200, "height": 640}
TALL: ViewportSize = {"width": 1200, "height": 1800}
WINDOW: ViewportSize = {"width": 520, "height": 560}
TELEPHONE: ViewportSize = {"width": 390, "height": 760}
BODY = {"contentType": "html", "content": "<p>The figures of this week are attached.</p>"}
REPORT = b"%PDF-1.7\n" + bytes(range(256)) * 800


@dataclass
class Screenshots:
    """Takes a screenshot of each page state of one tenant."""

    stack: LocalStack
    settings: TenantSettings
    scheduler: Scheduler

    def take(self, name: str, page: Page | None = None, *, whole: bool = True) -> None:
        """Write a screenshot of a whole page or of its visible part."""
        file = IMAGES / f"{name}.png"
        (page or self.settings.page).screenshot(path=file, full_page=whole, animations="disabled")
        print(f"  {file.relative_to(REPOSITORY)}  {file.stat().st_size // 1024} KB", flush=True)

    def not_configured(self) -> None:
        """Before the first configuration."""
        self.settings.from_address.blur()
        self.take("not-configured")

    def consent(self) -> None:
        """From Enable to the page at the end."""
        self.settings.from_address.fill(REPORTS)
        window = self.settings.window_of(self.settings.enable)
        expect(self.settings.pending).to_be_visible()
        self.take("pending")
        window.page.set_viewport_size(WINDOW)
        window.sign_in(REPORTS)
        window.permissions()
        self.take("consent-page", window.page)
        window.page.get_by_role("button", name="Accept").click()
        window.expect_heading(OTHER_ACCOUNT)
        self.take("other-account-page", window.page)
        window.press_continue()
        self.take("result-page", window.page)
        window.page.close()
        self.settings.is_enabled_for(REPORTS)
        expect(self.settings.check("Mailbox")).to_be_visible()

    def enabled(self) -> None:
        """Sending is enabled."""
        self._queue("sales:2026-W47", "Sales, week 47", ["cfo@contoso.com", "board@fabrikam.com"])
        self.take("enabled")
        self.settings.page.emulate_media(color_scheme="dark")
        self.take("enabled-dark")
        self.settings.page.emulate_media(color_scheme="light")

    def reconnect_needed(self) -> None:
        """The consent was revoked at Microsoft."""
        self._break("grant revoked")
        self._queue("stock:2026-W47", "Stock, week 47", ["coo@contoso.com"], "Waiting for consent")
        self._reload("Consent needed again")
        self.take("reconnect-needed")
        self.stack.microsoft365.faults.clear()
        self.settings.window_of(self.settings.consent_again).consent_as(REPORTS)
        self.settings.is_enabled_for(REPORTS)
        expect(self.settings.mail("stock:2026-W47")).to_contain_text("Accepted")

    def operator_error(self) -> None:
        """The app registration lacks permissions that the app requests."""
        self._break(Effect(aadsts=70011))
        self._queue("plan:2026-11", "Plan, November", ["coo@contoso.com"], "Waiting for the operator")
        self._reload("Operator must act")
        self.take("operator-error")

    def declined(self) -> None:
        """The person pressed Cancel."""
        self.settings.from_address.fill(ADA)
        window = self.settings.window_of(self.settings.enable)
        window.sign_in(ADA)
        window.cancel()
        window.page.close()
        expect(self.settings.problem).to_be_visible()
        expect(self.settings.pending).to_be_hidden()
        self.take("declined")
        self.settings.page.get_by_role("button", name="Dismiss").click()

    def large_attachments(self) -> None:
        """The toggle is locked once it is authorised."""
        self.settings.reset()
        self.settings.enable_as(ADA, ADA, large_files=True)
        expect(self.settings.check("Mailbox")).to_contain_text("OK")
        self.take("large-attachments-locked")
        self.settings.reset()

    def delegated_mailbox(self) -> None:
        """Ada sends from the address of a group."""
        self.stack.microsoft365.revoke_consent(ADA)
        self.settings.enable_as(BOARD, ADA)
        expect(self.settings.check("Mailbox")).to_be_visible()
        self._queue("board:2026-11", "Board pack, November", ["chair@contoso.com"])
        self.take("delegated-mailbox")

    def sending_paused(self) -> None:
        """The operator has paused sending."""
        storage = self.stack.azurite.connection_string
        operate(storage, "pause", "--reason", "installing version 1.4")
        operate(storage, "wait")
        self._queue("costs:2026-W47", "Costs, week 47", ["cfo@contoso.com"], "Sending is paused")
        self.settings.page.reload()
        self.settings.wait_until_loaded()
        expect(self.settings.problem).to_contain_text("installing version 1.4")
        self.take("sending-paused")
        operate(storage, "resume")
        expect(self.settings.mail("costs:2026-W47")).to_contain_text("Accepted", timeout=60_000)
        expect(self.settings.problem).to_have_count(0, timeout=40_000)

    def retry_many(self) -> None:
        """Many mails are sent again at once."""
        self.settings.page.get_by_role("button", name="Retry many").click()
        dialog = self.settings.page.get_by_role("dialog")
        dialog.get_by_label("State").select_option("Expired")
        dialog.get_by_label("Queued since").fill("2026-11-23T08:00")
        dialog.get_by_role("button", name="Retry").focus()
        self.take("retry-many", whole=False)
        dialog.get_by_role("button", name="Cancel").click()

    def backlog(self) -> None:
        """The mailbox sends only so many mails a minute."""
        self.stack.microsoft365.faults.clear()
        self.settings.reset()
        self.settings.enable_as(REPORTS, REPORTS)
        expect(self.settings.check("Mailbox")).to_be_visible()
        self.stack.microsoft365.faults.add("sendMail", Effect(429, "ApplicationThrottled", retry_after="240"))
        for team in ("north", "east", "south", "west", "online"):
            mail = f"sales:2026-11-{team}"
            body = {"contentType": "text", "content": "The figures of this month."}
            self.scheduler.queue(mail, to=[f"{team}@contoso.com"], subject=f"Sales, {team}", body=body)
            # The refused mail has no slot, because the pace is learned first.
            shown = "Next attempt" if team == "north" else "Expected at about"
            expect(self.settings.mail(mail)).to_contain_text(shown)
        self._reload("Enabled")
        expect(self.settings.connection_detail("Backlog")).to_be_visible()
        self.take("backlog")

    def inbox(self) -> None:
        """The inbox with the mails that the local Microsoft 365 accepted."""
        page = self.settings.page.context.new_page()
        page.goto(f"{self.stack.graph_url}/")
        # A body is drawn where it is seen.
        page.set_viewport_size(TALL)
        for body in page.locator("iframe").all():
            expect(body.content_frame.locator("body")).to_have_text(re.compile("."))
        self.take("inbox", page)
        page.close()

    def telephone(self) -> None:
        """The page on a small screen."""
        self.settings.page.set_viewport_size(TELEPHONE)
        self.take("telephone")
        self.settings.page.set_viewport_size(WIDE)

    def _queue(self, message_id: str, subject: str, to: list[str], status: str = "Accepted") -> None:
        path = self.scheduler.upload(f"{message_id.replace(':', '-')}.pdf", REPORT)
        files = [{"name": "figures.pdf", "contentType": "application/pdf", "blob": path}]
        self.scheduler.queue(message_id, to=to, subject=subject, body=BODY, attachments=files)
        expect(self.settings.mail(message_id)).to_contain_text(status)

    def _break(self, fault: Effect | str) -> None:
        self.stack.microsoft365.faults.add("sendMail", "token expired")
        self.stack.microsoft365.faults.add("token", fault, times=2)

    def _reload(self, badge: str) -> None:
        self.settings.page.reload()
        expect(self.settings.badge).to_have_text(badge)
        self.settings.wait_until_loaded()


SCENES = (
    Screenshots.not_configured,
    Screenshots.declined,
    Screenshots.consent,
    Screenshots.enabled,
    Screenshots.telephone,
    Screenshots.sending_paused,
    Screenshots.reconnect_needed,
    Screenshots.inbox,
    Screenshots.retry_many,
    Screenshots.large_attachments,
    Screenshots.delegated_mailbox,
    Screenshots.operator_error,
    Screenshots.backlog,
)


@contextmanager
def screenshots(stack: LocalStack, browser: Browser) -> Iterator[Screenshots]:
    """Open the page in a browser without a sign-in."""
    scheduler = Scheduler(stack.azurite.connection_string, CONTOSO)
    context = browser.new_context(viewport=WIDE, locale="en-GB", timezone_id="Etc/UTC")
    settings = TenantSettings(context.new_page(), stack)
    settings.open()
    try:
        yield Screenshots(stack, settings, scheduler)
    finally:
        context.close()
        scheduler.close()


def main() -> int:
    """Take every screenshot and return the exit status."""
    path = chromium_path()
    if path is None:
        print("Chromium is needed for pictures; Debian's package is called chromium.", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=20_000)
    with (
        LocalStack(settings=QUICK) as stack,
        chromium(path, stack.authority.certificate_file) as browser,
        screenshots(stack, browser) as camera,
    ):
        for scene in SCENES:
            scene(camera)
    return 0


if __name__ == "__main__":
    sys.exit(main())
