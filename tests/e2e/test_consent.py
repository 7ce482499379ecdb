from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin
from tests.local_stack.loopback import AZURE_HOST
from tests.local_stack.microsoft365.contoso import ADA, CLIENT_ID, MALLORY, UMA
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.stack

ENABLE = "tenant-settings/smtp/enable"


def start(admin: Admin, address: str = ADA) -> dict[str, str]:
    started: dict[str, str] = admin.call("POST", ENABLE, {"fromEmailAddress": address}).json()
    return started


def test_a_consent_enables_sending_with_mail_send_and_nothing_else(
    admin: Admin, browser: BrowserClient
) -> None:
    page = browser.consent(start(admin)["startUrl"], ADA)

    settings = admin.settings()
    assert page.title == "Consent complete"
    assert (settings["status"], settings["permissions"]) == ("enabled", ["Mail.Send"])
    assert (settings["fromEmailAddress"], settings["consentedBy"]) == (ADA, ADA)


def test_a_declined_consent_changes_nothing_and_is_reported(admin: Admin, browser: BrowserClient) -> None:
    started = start(admin)

    page = browser.consent(started["startUrl"], ADA, accept=False)

    flow = admin.read(f"consent/{started['flowId']}")
    assert page.title == "Consent declined"
    assert (flow["status"], flow["problem"]["code"]) == ("declined", "consent_declined")
    assert admin.settings()["status"] == "not_configured"


def test_a_start_link_opens_once(admin: Admin, stack: LocalStack) -> None:
    started = start(admin)
    BrowserClient(stack.authority.ca_file).open(started["startUrl"])

    second = BrowserClient(stack.authority.ca_file).open(started["startUrl"])

    assert "A consent link works once" in second.text


def test_a_callback_in_another_browser_is_refused_and_changes_nothing(
    admin: Admin, browser: BrowserClient
) -> None:
    started = start(admin)
    browser.open(started["startUrl"])
    browser.choose(ADA)
    browser.cookies.clear(AZURE_HOST)

    page = browser.accept()

    assert "it blocks cookies from this site" in page.text
    assert admin.settings()["status"] == "not_configured"
    assert admin.read(f"consent/{started['flowId']}")["status"] == "pending"


def test_a_callback_is_taken_once_and_a_reload_shows_the_result(
    admin: Admin, browser: BrowserClient, stack: LocalStack
) -> None:
    browser.posts_by_itself = False
    browser.open(start(admin)["startUrl"])
    browser.choose(ADA)
    held = browser.accept().forms[0]
    browser.submit(held)
    token_requests = stack.microsoft365.requests.count("token")

    again = browser.submit(held)

    assert again.title == "Consent complete"
    assert stack.microsoft365.requests.count("token") == token_requests


def test_a_forged_state_is_refused(admin: Admin, browser: BrowserClient) -> None:
    started = start(admin)
    browser.posts_by_itself = False
    browser.open(started["startUrl"])
    browser.choose(ADA)
    held = browser.accept().forms[0]
    held.fields["state"] = f"{started['flowId']}.guessed"

    page = browser.submit(held)

    assert "does not belong to the consent that was started here" in page.text
    assert admin.settings()["status"] == "not_configured"


def test_a_reset_ends_a_pending_consent(admin: Admin, browser: BrowserClient) -> None:
    started = start(admin)
    browser.open(started["startUrl"])
    browser.choose(ADA)
    admin.call("POST", "tenant-settings/smtp/reset")

    browser.accept()

    assert admin.read(f"consent/{started['flowId']}")["problem"]["code"] == "consent_superseded"
    assert admin.settings()["status"] == "not_configured"


def test_a_consent_of_another_organisation_is_refused(admin: Admin, browser: BrowserClient) -> None:
    started = start(admin)

    browser.consent(started["startUrl"], MALLORY)

    assert admin.settings()["status"] == "not_configured"


def test_reset_removes_tokens_and_settings_and_configuring_again_works(
    enabled: Admin, stack: LocalStack, browser: BrowserClient
) -> None:
    enabled.call("POST", "tenant-settings/smtp/reset")
    assert (enabled.settings()["status"], enabled.settings()["fromEmailAddress"]) == ("not_configured", None)
    assert list(stack.key_vault.secrets) == []
    page = enabled.settings()
    left = datetime.fromisoformat(page["tokensRecoverableUntil"]) - datetime.now(UTC)
    assert page["tokensLeftBehind"] is False
    assert timedelta(days=6.9) < left < timedelta(days=7.1)

    browser.consent(start(enabled)["startUrl"], ADA)

    assert enabled.settings()["status"] == "enabled"


@pytest.mark.parametrize(
    ("address", "changes", "refusal"),
    [
        (MALLORY, {}, (401, "token_invalid")),
        (ADA, {"scp": None}, (401, "token_invalid")),
        (ADA, {"scp": None, "idtyp": "app"}, (403, "signed_in_admin_required")),
        (ADA, {"scp": "profile"}, (403, "scope_required")),
        (ADA, {"azp": CLIENT_ID}, (403, "client_not_allowed")),
        (UMA, {}, (403, "workspace_admin_required")),
    ],
)
def test_only_a_workspace_admin_of_a_served_tenant_has_access(
    address: str, changes: dict[str, Any], refusal: tuple[int, str], stack: LocalStack
) -> None:
    token = stack.microsoft365.api_token(address, **changes)
    stranger = Admin(stack.api_url, token, stack.authority.ca_file)

    response = stranger.call("GET", "tenant-settings/smtp")

    assert (response.status_code, response.json()["code"]) == refusal
    stranger.close()
