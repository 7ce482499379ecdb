"""The page for a consent request that fails without a result."""

import re

import azure.functions as func
import pytest

from shared import bootstrap
from shared.api.openapi.document import OPERATIONS
from shared.api.openapi.operation import Operation
from shared.bootstrap import Services
from shared.errors import TransientError
from shared.problems import catalogue, explain
from shared.refusal_counter import INTERVAL
from tests.api.conftest import Api, Log
from tests.fakes import MemoryFlows

FLOW = "00000000-0000-4000-8000-000000000001"
PAGES = [operation for operation in OPERATIONS if operation.page]
#: Requests that look a flow up, by the name of the function.
LOOKING_UP = {
    "finish_consent": {"method": "POST", "body": f"state={FLOW}.guessed".encode()},
    "finish_admin_consent": {"query": f"state={FLOW}.guessed"},
    "decide_consent": {"method": "POST", "body": b"decision=continue&token=guessed"},
    "show_consent_result": {"query": f"flow={FLOW}"},
}


class BrokenFlows(MemoryFlows):
    def flow(self, flow_id: str) -> None:
        raise ZeroDivisionError("division by zero")


class AbsentFlows(MemoryFlows):
    def flow(self, flow_id: str) -> None:
        raise TransientError("storage_unavailable", service="tables")


def open_page(api: Api, name: str) -> func.HttpResponse:
    return api.call(name, caller=None, route={"flow_id": FLOW}, **LOOKING_UP[name])  # type: ignore[arg-type]


def reference_of(response: func.HttpResponse) -> str:
    found = re.search(r"<code>([0-9a-f]{32})</code>", response.get_body().decode())
    assert found is not None
    return found[1]


def test_what_a_browser_window_opens_gets_pages() -> None:
    assert {operation.name for operation in PAGES} == {"show_consent_start", *LOOKING_UP}


@pytest.mark.parametrize("name", LOOKING_UP)
def test_an_unexpected_error_is_a_page_with_a_reference_that_is_in_the_log(
    api: Api, log: Log, name: str
) -> None:
    api.ports.flows = BrokenFlows()

    response = open_page(api, name)

    assert response.status_code == 500
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    text = response.get_body().decode()
    assert f"<h1>{catalogue()['internal_error'].title}</h1>" in text
    assert "Tenant Settings page" in text
    assert "division" not in text
    [event] = log.named("unexpected_error")
    assert event["trace_id"] == reference_of(response)


def test_a_repeated_error_shows_the_reference_that_is_in_the_log(api: Api, log: Log) -> None:
    api.ports.flows = BrokenFlows()
    first = reference_of(open_page(api, "finish_consent"))

    assert reference_of(open_page(api, "finish_consent")) == first

    api.ports.system.time += INTERVAL
    assert reference_of(open_page(api, "finish_consent")) == first
    assert [event["trace_id"] for event in log.named("unexpected_error")] == [first]


def test_while_storage_does_not_respond_a_page_suggests_a_restart(api: Api, log: Log) -> None:
    api.ports.flows = AbsentFlows()

    responses = [open_page(api, "show_consent_result") for _ in range(3)]

    assert [response.status_code for response in responses] == [503, 503, 503]
    assert explain("consent_interrupted").title in responses[0].get_body().decode()
    [event] = log.named("requests_refused")
    assert {reference_of(response) for response in responses} == {event["trace_id"]}


def test_a_wrong_setting_is_not_named_on_the_page(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    services = Services()
    monkeypatch.setenv("SMTP_PROVIDER", "Office365")
    monkeypatch.delenv("ENTRA_TENANT_ID", raising=False)
    monkeypatch.delenv("PUBLIC_BASE_URL", raising=False)
    monkeypatch.setattr(bootstrap, "services", lambda: services)

    response = open_page(api, "finish_consent")

    text = response.get_body().decode()
    assert response.status_code == 500
    assert explain("consent_unavailable").title in text
    assert "ENTRA_TENANT_ID" not in text
    assert "PUBLIC_BASE_URL" not in text


@pytest.mark.parametrize("operation", PAGES, ids=lambda operation: operation.name)
def test_a_request_over_the_limit_is_a_page_too(api: Api, operation: Operation) -> None:
    body = b"a" * (operation.max_body_bytes + 1)

    response = api.call(operation.name, method="POST", body=body, caller=None, route={"flow_id": FLOW})

    assert response.status_code == 413
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reference_of(response)
