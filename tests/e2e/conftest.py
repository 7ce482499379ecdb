from collections.abc import Iterator

import pytest
from azure.data.tables import TableClient

from shared.storage_names import API_VERSION, TENANT_SETTINGS
from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin, Scheduler
from tests.local_stack.microsoft365.contoso import ADA, CLIENT_ID, CONTOSO
from tests.local_stack.stack import LocalStack


@pytest.fixture
def admin(stack: LocalStack) -> Iterator[Admin]:
    """Give Ada an unconfigured tenant without a consent, and remove it afterwards."""
    for address in (ADA, "*@contoso.com"):
        stack.microsoft365.revoke_consent(address)
    stack.microsoft365.consents.revoke_application(CLIENT_ID, CONTOSO)
    forget_schedules(stack)
    ada = Admin(stack.api_url, stack.microsoft365.api_token(ADA), stack.authority.ca_file)
    ada.call("POST", "tenant-settings/smtp/reset")
    yield ada
    ada.call("POST", "tenant-settings/smtp/reset")
    stack.microsoft365.faults.clear()
    ada.close()


def forget_schedules(stack: LocalStack) -> None:
    """Have no mailbox be paced because of what an earlier test had Graph refuse."""
    connection = stack.azurite.connection_string
    with TableClient.from_connection_string(connection, TENANT_SETTINGS, api_version=API_VERSION) as table:
        for row in list(table.query_entities("PartitionKey eq 'schedule'")):
            table.delete_entity(row)


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
