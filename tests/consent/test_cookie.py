"""The cookie of a consent, as the Functions host sends it."""

from http.cookies import SimpleCookie

import pytest
from azure_functions_runtime.bindings.datumdef import parse_to_rpc_http_cookie_list

from shared.consent.cookie import NAME, cookie_header, expired_cookie_header
from tests.api_client import enable, post_ticket
from tests.fakes import FakeServices
from tests.local_stack.cookies import CookieJar
from tests.local_stack.host.cookies import set_cookie
from tests.local_stack.host.worker_main import PROTOS
from tests.local_stack.loopback import AZURE_HOST

CALLBACK = "/api/consent/callback"


def sent(header: str, host: str) -> str:
    """Return a cookie as the worker and a host of this name send it."""
    (cookie,) = parse_to_rpc_http_cookie_list([SimpleCookie(header)], PROTOS)
    return set_cookie(cookie, host)


@pytest.mark.parametrize("host", [AZURE_HOST, "localhost"])
@pytest.mark.parametrize(
    "base_url",
    [f"https://{AZURE_HOST}", "https://mail.contoso.com", "https://mail.contoso.com:8443/mailer"],
)
def test_a_browser_keeps_the_cookie_also_behind_a_front_door(base_url: str, host: str) -> None:
    """The front door has one name, and calls the app under another."""
    browser = CookieJar()
    address = f"{base_url}{CALLBACK}"

    browser.store(address, [sent(cookie_header("value", base_url), host)])
    assert browser.header(address, "POST", "https://login.microsoftonline.com/") == f"{NAME}=value"

    browser.store(address, [sent(expired_cookie_header(base_url), host)])
    assert browser.header(address, "POST", "") == ""


def test_the_cookie_names_the_host_of_the_public_address(ports: FakeServices) -> None:
    ports.configure(public_base_url="https://apps.contoso.com:8443/mailer")

    cookie = post_ticket(enable(ports), ports).headers["Set-Cookie"]

    assert "; Domain=apps.contoso.com; Path=/mailer/api/consent; " in cookie


def test_on_localhost_the_cookie_has_no_domain() -> None:
    """WebKit refuses `Domain=localhost`."""
    assert "Domain" not in cookie_header("value", "https://localhost:7071")
    assert "Domain" not in expired_cookie_header("https://localhost:7071")


@pytest.fixture
def ports() -> FakeServices:
    return FakeServices()
