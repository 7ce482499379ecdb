from typing import Any

import pytest

from shared.api.response_headers import STANDARD
from tests.local_stack.loopback import loopback_session
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.stack


SETTINGS = "api/tenant-settings/smtp"
PREFLIGHT = {"Origin": "https://other.contoso.com", "Access-Control-Request-Method": "PUT"}
CALLS: list[tuple[str, str, int, dict[str, Any]]] = [
    ("GET", "api/health", 200, {}),
    ("GET", SETTINGS, 401, {}),
    ("GET", "api/nowhere", 404, {}),
    # The host knows no 405: a method that no function takes is an address without a function.
    ("DELETE", SETTINGS, 404, {}),
    ("TRACE", "api/health", 404, {}),
    ("OPTIONS", SETTINGS, 404, {}),
    ("OPTIONS", SETTINGS, 204, {"headers": PREFLIGHT}),
    ("POST", "api/consent/callback", 303, {}),
    ("POST", "api/consent/callback", 413, {"data": b"a" * 70_000}),
    # Over the host's own limit: its response is 500.
    ("POST", "api/consent/callback", 500, {"data": b"a" * 1_100_000}),
    ("GET", "", 204, {}),
    ("GET", "admin/host/status", 401, {}),
]


@pytest.mark.parametrize(("method", "path", "status", "parts"), CALLS, ids=str)
def test_the_host_and_the_app_send_one_set_of_headers(
    stack: LocalStack, method: str, path: str, status: int, parts: dict[str, Any]
) -> None:
    with loopback_session(stack.authority.ca_file) as session:
        url = f"{stack.api_url}/{path}"
        response = session.request(method, url, timeout=10, allow_redirects=False, **parts)

    assert response.status_code == status
    expected = dict(STANDARD)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        del expected["Content-Security-Policy"]
    assert expected.items() <= dict(response.headers).items()


def test_a_preflight_allows_no_other_origin(stack: LocalStack) -> None:
    with loopback_session(stack.authority.ca_file) as session:
        response = session.options(f"{stack.api_url}/{SETTINGS}", headers=PREFLIGHT, timeout=10)

    assert "Access-Control-Allow-Origin" not in response.headers


def test_a_page_on_another_origin_may_read_what_the_settings_page_needs(stack: LocalStack) -> None:
    with loopback_session(stack.authority.ca_file) as session:
        response = session.get(
            f"{stack.api_url}/api/tenant-settings/smtp", headers={"Origin": stack.frontend_origin}, timeout=10
        )

    assert response.headers["Access-Control-Allow-Origin"] == stack.frontend_origin
    assert response.headers["Access-Control-Expose-Headers"].split(", ") == [
        "ETag",
        "Location",
        "Retry-After",
        "WWW-Authenticate",
    ]
    assert "WWW-Authenticate" in response.headers


def test_the_content_security_policy_of_a_page_is_kept(stack: LocalStack) -> None:
    with loopback_session(stack.authority.ca_file) as session:
        response = session.get(f"{stack.api_url}/api/consent/result", timeout=10)

    assert "script-src 'nonce-" in response.headers["Content-Security-Policy"]
