import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, expect

from tests.browser.chromium import chromium, chromium_path
from tests.browser.tenant_settings import TenantSettings
from tests.local_stack.clients import Admin, Scheduler
from tests.local_stack.microsoft365.contoso import CONTOSO
from tests.local_stack.stack import LocalStack

HERE = Path(__file__).parent
#: A callback waits almost a minute for a permission that does not come.
WAIT_MS = 75_000

type OpenTab = Callable[[], TenantSettings]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this folder's tests."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def browser_path() -> str:
    path = chromium_path()
    if path is None and os.environ.get("CI"):
        pytest.fail("Chromium is missing, and in CI the browser tests have to run.")
    if path is None:
        pytest.skip("Chromium is not installed; Debian's package is called chromium.")
    return path


@pytest.fixture(scope="package")
def browser(browser_path: str, stack: LocalStack) -> Iterator[Browser]:
    expect.set_options(timeout=WAIT_MS)
    with chromium(browser_path, stack.authority.certificate_file) as running:
        yield running


@pytest.fixture
def scheduler(stack: LocalStack) -> Iterator[Scheduler]:
    reports = Scheduler(stack.azurite.connection_string, CONTOSO)
    yield reports
    reports.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Give each test a browser without a sign-in."""
    fresh = browser.new_context(
        viewport={"width": 1280, "height": 900}, locale="en-GB", timezone_id="Etc/UTC"
    )
    fresh.set_default_timeout(WAIT_MS)
    yield fresh
    fresh.close()


@pytest.fixture
def tab(context: BrowserContext, stack: LocalStack, admin: Admin) -> Iterator[OpenTab]:
    """Open tabs in which no script fails or is blocked by the page's policy."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            errors.append(message.text)

    def open_tab() -> TenantSettings:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", note)
        opened = TenantSettings(page, stack)
        opened.visit()
        return opened

    yield open_tab
    assert errors == []


@pytest.fixture
def settings(tab: OpenTab) -> TenantSettings:
    """Open the page as Ada, who administers the workspace and Microsoft 365."""
    return tab()
