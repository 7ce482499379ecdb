import json
import re
from typing import Any

import azure.functions as func
import pytest

from shared import bootstrap
from shared.api.openapi.document import OPERATIONS
from shared.bootstrap import Services
from shared.settings.tenant import TenantSettings
from shared.version import VERSION
from tests.api.conftest import Api, Log
from tests.api_client import ticket_of
from tests.fakes import CONTOSO, FakeServices, MemorySettings

ROUTE = {"flow_id": "00000000-0000-4000-8000-000000000001", "message_id": "sales:1"}
ADMIN_FUNCTIONS = [(operation.name, ROUTE) for operation in OPERATIONS if operation.admin]


def read(response: func.HttpResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.get_body())
    return found


def test_health_returns_alive_and_the_version_and_nothing_else(api: Api) -> None:
    response = api.call("get_health", caller=None)

    assert response.status_code == 200
    assert read(response) == {"status": "alive", "version": VERSION}


@pytest.mark.parametrize(("name", "route"), ADMIN_FUNCTIONS, ids=str)
@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        (None, 401, "token_missing"),
        ("unknown", 401, "token_invalid"),
        ("uma", 403, "workspace_admin_required"),
    ],
)
def test_only_a_workspace_admin_reads_or_changes_settings(
    api: Api, name: str, route: dict[str, str], token: str | None, status: int, code: str
) -> None:
    response = api.call(name, caller=token, route=route)

    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert read(response)["code"] == code
    assert api.ports.settings.rows == {}


def test_the_whole_consent_through_the_frameworks_requests(api: Api) -> None:
    started = read(api.call("enable_sending", method="POST", body={"fromEmailAddress": "ada@contoso.com"}))
    flow_id = started["flowId"]
    ticket = ticket_of(started["startUrl"])
    route = {"flow_id": flow_id}
    to_microsoft = api.call(
        "start_consent", method="POST", body=f"ticket={ticket}".encode(), caller=None, route=route
    )
    cookie = to_microsoft.headers["Set-Cookie"].partition(";")[0]
    state = re.search(r"state=([^&]+)", read(to_microsoft)["location"])
    assert state is not None
    body = f"code=the-code&state={state.group(1)}".encode()

    back = api.call("finish_consent", method="POST", body=body, caller=None, headers={"Cookie": cookie})

    assert back.status_code == 303
    assert read(api.call("get_consent", route={"flow_id": flow_id}))["status"] == "completed"
    assert read(api.call("get_tenant_settings"))["status"] == "enabled"
    page = func.HttpRequest("GET", back.headers["Location"], params={"flow": flow_id}, body=b"", headers={})
    assert b"Consent complete" in api.functions["show_consent_result"](page).get_body()
    assert api.call("reset_tenant_settings", method="POST").status_code == 204


def test_settings_come_with_an_etag(api: Api) -> None:
    assert re.fullmatch(r'"[0-9a-f]{32}"', api.call("get_tenant_settings").headers["ETag"])


def test_an_invalid_request_becomes_a_problem_with_its_fields(api: Api) -> None:
    response = api.call("enable_sending", method="POST", body={"fromEmailAddress": "nobody"})

    assert response.status_code == 400
    assert read(response)["errors"][0]["field"] == "fromEmailAddress"


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENT_TRACES = {
    "": None,
    "nonsense": None,
    "00-1-2": None,
    "00-<script>-x-01": None,
    f"00-{'F' * 32}-00f067aa0ba902b7-01": None,
    f"00-{TRACE}-00f067aa0ba902b7-01": TRACE,
}


@pytest.mark.parametrize("header", SENT_TRACES)
def test_every_request_gets_a_trace_id_of_our_own(api: Api, header: str) -> None:
    headers = {"traceparent": header}

    found = read(api.call("get_tenant_settings", caller=None, headers=headers))["traceId"]

    assert re.fullmatch(r"[0-9a-f]{32}", found)
    assert found != TRACE


@pytest.mark.parametrize(("header", "recorded"), SENT_TRACES.items())
def test_the_trace_id_of_the_caller_is_recorded_with_ours(
    api: Api, log: Log, header: str, recorded: str | None
) -> None:
    response = api.call("save_tenant_settings", method="PUT", body={}, headers={"traceparent": header})

    assert [event.get("caller_trace_id") for event in log.events] == [recorded, recorded]
    assert {event["trace_id"] for event in log.events} == {read(response)["traceId"]}


def test_a_bug_is_a_problem_with_a_trace_and_nothing_of_the_bug(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(MemorySettings):
        def load(self, tenant_id: str) -> TenantSettings:
            raise ZeroDivisionError("division by zero")

    api.ports.settings = Broken()

    response = api.call("get_tenant_settings")

    assert response.status_code == 500
    assert read(response)["code"] == "internal_error"
    assert b"division" not in response.get_body()
    assert read(response)["traceId"] in caplog.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({}, "smtp_provider_not_office365"),
        ({"SMTP_PROVIDER": "SendGrid"}, "smtp_provider_not_office365"),
        ({"SMTP_PROVIDER": "Office365"}, "setting_missing"),
    ],
)
@pytest.mark.parametrize(("name", "route"), ADMIN_FUNCTIONS, ids=str)
def test_a_missing_setting_makes_the_api_return_an_operator_error(
    name: str,
    route: dict[str, str],
    environment: dict[str, str],
    code: str,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = Services()
    for setting in ("SMTP_PROVIDER", "ENTRA_TENANT_ID", "API_AUDIENCE"):
        monkeypatch.delenv(setting, raising=False)
    for setting, value in environment.items():
        monkeypatch.setenv(setting, value)
    monkeypatch.setattr(bootstrap, "services", lambda: services)

    response = api.call(name, route=route)

    assert response.status_code == 500
    assert read(response)["code"] == code
    assert read(response)["whoActs"] == "operator"


#: Headers that App Service, proxies or API gateways set, and that anybody can send.
OF_INTERMEDIARIES = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-For": "127.0.0.1",
    "Forwarded": "host=evil.example;proto=http",
    "X-Original-URL": "/api/tenant-settings/smtp/reset",
    "X-HTTP-Method-Override": "POST",
    "X-MS-CLIENT-PRINCIPAL": "eyJhdXRoX3R5cCI6ImFhZCIsImNsYWltcyI6W119",
    "X-MS-CLIENT-PRINCIPAL-ID": "ada-object-id",
    "X-MS-CLIENT-PRINCIPAL-NAME": "ada@contoso.com",
    "X-MS-TOKEN-AAD-ACCESS-TOKEN": "ada",
    "X-User-ID": "ada-object-id",
}


@pytest.mark.parametrize(("name", "route"), ADMIN_FUNCTIONS, ids=str)
def test_headers_of_an_intermediary_do_not_authenticate(api: Api, name: str, route: dict[str, str]) -> None:
    response = api.call(name, caller=None, route=route, headers=OF_INTERMEDIARIES)

    assert response.status_code == 401


def test_headers_of_an_intermediary_change_no_address(api: Api) -> None:
    body = {"fromEmailAddress": "ada@contoso.com"}

    started = read(api.call("enable_sending", method="POST", body=body, headers=OF_INTERMEDIARIES))
    back = api.call("finish_consent", method="POST", caller=None, headers=OF_INTERMEDIARIES)

    base = api.ports.config.public_base_url
    assert started["startUrl"].startswith(f"{base}/api/consent/")
    assert back.headers["Location"].startswith(f"{base}/api/consent/result")


def test_a_process_builds_its_services_once() -> None:
    assert bootstrap.services() is bootstrap.services()


def test_the_tenant_of_the_token_chooses_the_settings(api: Api, ports: FakeServices) -> None:
    api.call("enable_sending", method="POST", body={"fromEmailAddress": "m@fabrikam.com"}, caller="mallory")

    assert read(api.call("get_tenant_settings"))["pendingConsent"] is None
    assert CONTOSO not in ports.settings.rows


def test_every_further_endpoint_responds_to_an_admin(api: Api) -> None:
    save = {"fromEmailAddress": "ada@contoso.com", "largeFileAttachments": False}

    assert read(api.call("save_tenant_settings", method="PUT", body=save))["code"] == "not_configured"
    assert read(api.call("check_tenant_settings", method="POST"))["checks"][0]["name"] == "consent"
    assert read(api.call("get_readiness"))["status"] == "ready"


def test_an_admin_consent_for_the_app_returns_by_get(api: Api) -> None:
    response = api.call("finish_admin_consent", caller=None)

    assert response.status_code == 303
    assert response.headers["Location"].endswith("/api/consent/result?problem=consent_not_found")
