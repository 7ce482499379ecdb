"""Another account consents in a domain whose hosts can set cookies."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from shared.consent.cookie import NAME
from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin
from tests.local_stack.loopback import CUSTOM_HOST, SIBLING_HOST
from tests.local_stack.microsoft365.contoso import ADA, REPORTS, UMA, WORKSPACE_ADMIN
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.stack

ENABLE = "tenant-settings/smtp/enable"
DOMAIN = CUSTOM_HOST.partition(".")[2]


@pytest.fixture(scope="module")
def custom() -> Iterator[LocalStack]:
    with LocalStack(api_host=CUSTOM_HOST) as running:
        running.microsoft365.directory.change_user(UMA, app_roles=frozenset({WORKSPACE_ADMIN}))
        yield running


@pytest.fixture
def uma(custom: LocalStack) -> Iterator[Admin]:
    """Give Uma, who administers the workspace, an unconfigured tenant."""
    custom.microsoft365.consents.clear()
    admin = Admin(custom.api_url, custom.microsoft365.api_token(UMA), custom.authority.ca_file)
    admin.call("POST", "tenant-settings/smtp/reset")
    yield admin
    admin.call("POST", "tenant-settings/smtp/reset")
    admin.close()


def start(admin: Admin) -> dict[str, str]:
    started: dict[str, str] = admin.call("POST", ENABLE, {"fromEmailAddress": REPORTS}).json()
    return started


def signed_in_as(account: str, start_url: str, browser: BrowserClient) -> BrowserClient:
    """Open a link, sign in and accept; stop at the confirmation page."""
    browser.open(start_url)
    browser.choose(account)
    browser.accept()
    return browser


def test_the_account_sees_the_requester_and_continues(uma: Admin, custom: LocalStack) -> None:
    started = start(uma)
    browser = signed_in_as(REPORTS, started["startUrl"], BrowserClient(custom.authority.ca_file))

    assert browser.page.title == "Let Inforiver send with your account?"
    assert UMA in browser.page.text
    assert uma.settings()["status"] == "not_configured"
    assert uma.read(f"consent/{started['flowId']}")["stage"] == "other_account"
    assert len(custom.key_vault.secrets) == 1

    assert browser.press("decision", "continue").title == "Consent complete"
    assert uma.settings()["consentedBy"] == REPORTS
    assert browser.cookies.names(CUSTOM_HOST) == []


def test_the_account_refuses_and_its_tokens_are_gone(uma: Admin, custom: LocalStack) -> None:
    started = start(uma)
    browser = signed_in_as(REPORTS, started["startUrl"], BrowserClient(custom.authority.ca_file))

    assert browser.press("decision", "refuse").title == "Consent declined"

    assert list(custom.key_vault.secrets) == []
    assert uma.read(f"consent/{started['flowId']}")["problem"]["code"] == "consent_refused"
    assert uma.settings()["status"] == "not_configured"


def test_a_reload_of_the_page_shows_it_again(uma: Admin, custom: LocalStack) -> None:
    browser = BrowserClient(custom.authority.ca_file, posts_by_itself=False)
    browser.open(start(uma)["startUrl"])
    browser.choose(REPORTS)
    posted = browser.accept().forms[0]
    browser.submit(posted)

    browser.submit(posted)

    assert browser.press("decision", "continue").title == "Consent complete"


def test_a_cookie_that_a_sibling_host_planted_does_not_complete_a_consent(
    uma: Admin, custom: LocalStack
) -> None:
    """Uma plants her cookie in Ada's browser and sends Ada her own `state`."""
    started = start(uma)
    attacker = BrowserClient(custom.authority.ca_file, posts_by_itself=False)
    attacker.open(started["startUrl"])
    to_microsoft = next(url for method, url in attacker.history if "/authorize" in url)
    value = attacker.cookies.header(f"{custom.api_url}/api/consent/callback", "GET", "").partition("=")[2]
    ada = BrowserClient(custom.authority.ca_file)
    planted = f"{NAME}={value}; Domain={DOMAIN}; Path=/; Secure; SameSite=None"
    ada.cookies.store(f"https://{SIBLING_HOST}/", [planted])
    assert ada.cookies.names(CUSTOM_HOST) == [NAME]

    signed_in_as(ADA, to_microsoft, ada)

    assert ada.page.title == "Let Inforiver send with your account?"
    assert UMA in ada.page.text
    decision = f"{custom.api_url}/api/consent/{started['flowId']}/decision"
    for token in ("", "guess", value):
        page = attacker.post(decision, {"decision": "continue", "token": token}, initiator=decision)
        assert "consent_form_invalid" in urlsplit(page.url).query
    assert uma.settings()["status"] == "not_configured"
    ada.press("decision", "refuse")
    assert list(custom.key_vault.secrets) == []


def test_a_planted_cookie_in_addition_to_ours_is_named_as_the_cause(uma: Admin, custom: LocalStack) -> None:
    browser = BrowserClient(custom.authority.ca_file)
    planted = f"{NAME}=planted; Domain={DOMAIN}; Path=/; Secure; SameSite=None"
    browser.cookies.store(f"https://{SIBLING_HOST}/", [planted])

    signed_in_as(UMA, start(uma)["startUrl"], browser)

    assert "consent_cookie_ambiguous" in browser.page.text
    assert uma.settings()["status"] == "not_configured"
