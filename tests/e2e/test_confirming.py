import threading
from collections.abc import Iterator

import pytest

from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin, wait_for
from tests.local_stack.microsoft365.contoso import ADA
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.stack


@pytest.fixture
def slow_directory(stack: LocalStack, admin: Admin) -> Iterator[None]:
    """Let consents appear in tokens two seconds later."""
    stack.microsoft365.behaviour.consent_lag = 2.0
    yield
    stack.microsoft365.behaviour.consent_lag = 0.0


@pytest.mark.usefixtures("slow_directory")
def test_a_consent_that_shows_late_is_confirmed_inside_the_callback(
    admin: Admin, browser: BrowserClient
) -> None:
    started = admin.call("POST", "tenant-settings/smtp/enable", {"fromEmailAddress": ADA}).json()
    browser.open(started["startUrl"])
    browser.choose(ADA)
    accepting = threading.Thread(target=browser.accept)
    accepting.start()

    stage = wait_for(
        lambda: admin.read(f"consent/{started['flowId']}")["stage"] == "confirming" or None, "confirming"
    )
    accepting.join()

    assert stage
    assert browser.page.title == "Consent complete"
    assert admin.settings()["permissions"] == ["Mail.Send"]
