import json
from pathlib import Path

import pytest

from shared.api.openapi.document import OPERATIONS, document
from shared.api.response_headers import STANDARD, page_headers
from tests.api.conftest import Api
from tests.fakes import MemoryFlows

HOST_JSON = Path(__file__).parents[2] / "host.json"
ROUTE = {"flow_id": "00000000-0000-4000-8000-000000000001", "message_id": "sales:1"}
#: A page has a policy of its own, which is as strict about frames.
PAGE = "text/html; charset=utf-8"


def frame_rule(policy: str) -> str:
    return next(rule for rule in policy.split("; ") if rule.startswith("frame-ancestors"))


@pytest.mark.parametrize("caller", [None, "ada"])
@pytest.mark.parametrize("name", [operation.name for operation in OPERATIONS])
def test_every_function_responds_with_the_standard_headers(api: Api, name: str, caller: str | None) -> None:
    headers = api.call(name, caller=caller, route=ROUTE).headers

    for header, value in STANDARD.items():
        if header == "Content-Security-Policy" and headers.get("Content-Type") == PAGE:
            assert frame_rule(headers[header]) == frame_rule(value)
        else:
            assert headers[header] == value


def test_the_response_to_an_unexpected_error_has_the_standard_headers(api: Api) -> None:
    class Broken(MemoryFlows):
        def flow(self, flow_id: str) -> None:
            raise ZeroDivisionError

    api.ports.flows = Broken()
    response = api.call("get_consent", route=ROUTE)

    assert response.status_code == 500
    assert STANDARD.items() <= dict(response.headers.items()).items()


def test_responses_of_the_host_have_the_same_headers() -> None:
    host = json.loads(HOST_JSON.read_text("utf-8"))

    assert host["extensions"]["http"]["customHeaders"] == STANDARD


def test_cross_origin_pages_may_read_every_documented_header(api: Api) -> None:
    responses = [
        response
        for path in document()["paths"].values()
        for operation in path.values()
        for response in operation["responses"].values()
    ]
    named = {header for response in responses for header in response.get("headers", {})}

    exposed = api.call("get_tenant_settings").headers["Access-Control-Expose-Headers"].split(", ")

    # Cookies are the browser's own; no page may read them.
    assert set(exposed) == named - {"Set-Cookie"}
    assert exposed == ["ETag", "Location", "Retry-After", "WWW-Authenticate"]


@pytest.mark.parametrize("caller", [None, "ada"])
@pytest.mark.parametrize("name", [operation.name for operation in OPERATIONS])
def test_every_function_lets_pages_read_the_same_headers(api: Api, name: str, caller: str | None) -> None:
    headers = api.call(name, caller=caller, route=ROUTE).headers

    assert headers["Access-Control-Expose-Headers"] == "ETag, Location, Retry-After, WWW-Authenticate"


def test_a_page_runs_its_own_script_and_loads_nothing() -> None:
    policy = page_headers("the-nonce", form_action="'self'")["Content-Security-Policy"]

    assert policy == (
        "default-src 'none'; script-src 'nonce-the-nonce'; style-src 'nonce-the-nonce'; img-src data:; "
        "connect-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
