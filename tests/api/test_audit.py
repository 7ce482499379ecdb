"""The audit log of calls, and the counts of anonymous refusals."""

from datetime import timedelta

import pytest

from shared.api.openapi.document import OPERATIONS
from shared.api.openapi.operation import Operation
from shared.refusal_counter import INTERVAL, RefusalCounter
from shared.settings.tenant import TenantSettings
from tests.api.conftest import Api, Log
from tests.fakes import CONTOSO, FakeServices, FakeSystem, MemorySettings

ADMIN_OPERATIONS = [operation for operation in OPERATIONS if operation.admin]
ROUTE = {"flow_id": "00000000-0000-4000-8000-000000000001", "message_id": "sales:1"}


class BrokenSettings(MemorySettings):
    def load(self, tenant_id: str) -> TenantSettings:
        raise ZeroDivisionError


@pytest.mark.parametrize("operation", ADMIN_OPERATIONS, ids=lambda operation: operation.name)
@pytest.mark.parametrize("caller", ["ada", "uma"])
def test_each_admin_operation_leaves_one_audit_event(
    operation: Operation, caller: str, api: Api, log: Log
) -> None:
    response = api.call(operation.name, method=operation.method, body={}, route=ROUTE, caller=caller)

    [event] = log.named("admin_operation")
    refused = response.headers.get("Content-Type") == "application/problem+json"
    assert event["action"] == operation.name
    assert (event["tid"], event["oid"], event["azp"]) == (CONTOSO, f"{caller}-object-id", "frontend")
    assert (event["result"] == str(response.status_code)) is not refused
    assert len(event["trace_id"]) == 32


def test_an_audit_event_records_how_a_call_was_refused(api: Api, log: Log) -> None:
    api.call("reset_tenant_settings", method="POST", caller="uma")

    assert log.named("admin_operation")[0]["result"] == "workspace_admin_required"


@pytest.mark.parametrize("operation", ADMIN_OPERATIONS, ids=lambda operation: operation.name)
def test_a_request_that_is_too_large_leaves_an_audit_event_too(
    operation: Operation, api: Api, log: Log
) -> None:
    api.call(operation.name, method=operation.method, body=b"x" * 140_000, route=ROUTE)

    assert [event["result"] for event in log.named("admin_operation")] == ["request_too_large"]


@pytest.mark.parametrize("operation", ADMIN_OPERATIONS, ids=lambda operation: operation.name)
def test_of_a_request_that_is_too_large_without_a_token_nothing_is_read(
    operation: Operation, api: Api
) -> None:
    response = api.call(
        operation.name, method=operation.method, body=b"x" * 140_000, route=ROUTE, caller=None
    )

    assert response.status_code == 401


def test_an_audit_event_names_no_address(api: Api, log: Log) -> None:
    api.call("enable_sending", method="POST", body={"fromEmailAddress": "ada@contoso.com"})

    [event] = log.named("admin_operation")
    assert set(event) == {"event", "action", "azp", "oid", "result", "tid", "trace_id"}
    assert "@" not in str(event)


def test_a_bug_leaves_an_audit_event_too(api: Api, log: Log) -> None:
    api.ports.settings = BrokenSettings()

    api.call("get_tenant_settings")

    assert [event["result"] for event in log.named("admin_operation")] == ["internal_error"]


@pytest.mark.parametrize("caller", [None, "unknown"])
def test_a_call_without_a_valid_token_writes_no_audit_event(caller: str | None, api: Api, log: Log) -> None:
    api.call("reset_tenant_settings", method="POST", caller=caller)

    assert log.named("admin_operation") == []


def test_a_thousand_anonymous_refusals_are_one_line_and_then_one_count(
    api: Api, ports: FakeServices, log: Log
) -> None:
    for _ in range(1000):
        api.call("get_tenant_settings", caller=None)
    assert [event["count"] for event in log.events] == [1]

    ports.system.time += INTERVAL
    api.call("get_health", caller=None)

    assert [event["count"] for event in log.events] == [1, 999]
    assert {(event["operation"], event["problem"]) for event in log.events} == {
        ("get_tenant_settings", "token_missing")
    }


def test_a_long_path_leaves_no_longer_line(api: Api, log: Log) -> None:
    api.call("get_delivery", caller=None, route={"message_id": "x" * 7000})

    assert len(log.caplog.text) < 400


def test_a_bug_that_anonymous_callers_repeat_is_logged_once(api: Api, ports: FakeServices, log: Log) -> None:
    class Broken:
        def flow(self, flow_id: str) -> None:
            raise ZeroDivisionError

    ports.flows = Broken()  # type: ignore[assignment]
    for _ in range(50):
        api.call("show_consent_result", caller=None, query=f"flow={ROUTE['flow_id']}")

    assert len(log.named("unexpected_error")) == 1
    assert [event["problem"] for event in log.named("requests_refused")] == [
        "internal_error/ZeroDivisionError"
    ]


def test_refusals_of_different_kinds_are_counted_apart(log: Log) -> None:
    system = FakeSystem()
    counter = RefusalCounter(system)
    assert counter.count("enable_sending", "token_missing", "trace-1") == "trace-1"
    assert counter.count("enable_sending", "token_invalid", "trace-2") == "trace-2"
    assert counter.count("enable_sending", "token_invalid", "trace-3") == "trace-2"

    system.time += INTERVAL
    counter.log_counted()

    assert [(event["problem"], event["count"], event["trace_id"]) for event in log.events] == [
        ("token_missing", 1, "trace-1"),
        ("token_invalid", 1, "trace-2"),
        ("token_invalid", 1, "trace-3"),
    ]


def test_after_a_quiet_interval_the_next_refusal_is_logged_at_once(log: Log) -> None:
    system = FakeSystem()
    counter = RefusalCounter(system)
    counter.count("enable_sending", "token_missing", "trace-1")

    system.time += INTERVAL + timedelta(seconds=1)
    counter.log_counted()

    assert counter.count("enable_sending", "token_missing", "trace-2") == "trace-2"
    assert [event["count"] for event in log.events] == [1, 1]
