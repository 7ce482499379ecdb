"""The page shows mails that wait for the rate limit of their mailbox."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.page_states import WAITING, open_state
from tests.browser.tenant_settings import TenantSettings
from tests.local_stack.stack import LocalStack


@pytest.fixture
def page(context: BrowserContext, stack: LocalStack) -> Page:
    """Open the page at noon of the day on which the mails are queued."""
    opened = context.new_page()
    opened.clock.set_fixed_time(datetime(2026, 11, 23, 12, 0, tzinfo=UTC))
    open_state(opened, WAITING, stack)
    return opened


@pytest.mark.parametrize(
    ("mail", "text"),
    [
        ("sales:next", "Expected at about 12:01, it is next"),
        ("sales:second", "Expected at about 12:02, 1 mail before it"),
        ("sales:last", "Expected at about 12:04, 112 mails before it"),
        ("sales:late", "Likely to expire at 12:30, because it can only be sent at about 24 Nov 2026, 08:00"),
        ("sales:too-late", "Likely to expire at 12:30, because it can only be sent later"),
        ("sales:unknown", "Next attempt: 23 Nov 2026, 12:10"),
    ],
)
def test_a_waiting_mail_shows_its_predicted_time_if_it_is_known(
    page: Page, stack: LocalStack, mail: str, text: str
) -> None:
    row = TenantSettings(page, stack).mail(mail)

    expect(row).to_contain_text(text)
    expect(row).to_contain_text("The mail waits for the mailbox's rate limit")


def test_the_connection_shows_the_number_and_end_of_waiting_mails(page: Page, stack: LocalStack) -> None:
    expect(TenantSettings(page, stack).connection_detail("Backlog")).to_have_text(
        "About 1200 mails, the last sent at about 12:40"
    )
