from collections.abc import Iterator

import pytest

from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin, Scheduler
from tests.local_stack.microsoft365.contoso import ADA, CONTOSO
from tests.local_stack.stack import LocalStack


@pytest.fixture
def scheduler(stack: LocalStack) -> Iterator[Scheduler]:
    reports = Scheduler(stack.azurite.connection_string, CONTOSO)
    yield reports
    reports.close()


@pytest.fixture
def browser(stack: LocalStack) -> BrowserClient:
    return BrowserClient(stack.authority.ca_file)


@pytest.fixture
def enabled(admin: Admin, browser: BrowserClient) -> Admin:
    """Have Ada consented for her own address."""
    started = admin.call("POST", "tenant-settings/smtp/enable", {"fromEmailAddress": ADA}).json()
    browser.consent(started["startUrl"], ADA)
    return admin
