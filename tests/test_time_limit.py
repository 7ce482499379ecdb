"""No invocation reaches the host's timeout, however slow services are."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from contextvars import copy_context
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.http import CONNECT_SECONDS, GRAPH_RESPONSE_SECONDS
from shared.deliveries.delivery import Delivery
from shared.deliveries.status import DeliveryStatus
from shared.errors import NothingSentError, OutcomeUnknownError, TransientError
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.sending.poison import record_poisoned
from shared.system import Moment
from shared.time_limit import (
    RECORDING_LIMIT,
    SENDING_LIMIT,
    acquire_in_time,
    check_sending,
    extend_for_recording,
    invocation_start,
    limit_invocation,
    seconds_left,
)
from tests.builders import a_file, a_message, large_file_services
from tests.fakes import CONTOSO, NOON, FakeServices, FakeSystem

FUNCTION_TIMEOUT = timedelta(minutes=10)
GRAPH_CALL = GRAPH_RESPONSE_SECONDS + CONNECT_SECONDS
STORAGE_TRIES, STORAGE_TRY = 3, 40.0
OF_STORAGE = ("settings", "deliveries", "requests", "drafts", "outbox", "files")


class SlowPort:
    """A port whose calls take as long as its adapter allows.

    It then responds or fails.
    """

    def __init__(self, port: Any, system: FakeSystem, *, graph: bool, fails: bool) -> None:
        self._port, self._system, self._graph, self._fails = port, system, graph, fails

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return self._slow(found) if callable(found) else found

    def _slow(self, call: Any) -> Any:
        def slowly(*arguments: Any, **options: Any) -> Any:
            if self._graph:
                check_sending()
                self._system.pass_time(timedelta(seconds=GRAPH_CALL))
            else:
                self._wait_as_storage_does()
            response = call(*arguments, **options)
            if self._fails:
                raise OutcomeUnknownError("outcome_unknown") if self._graph else storage_away()
            return response

        return slowly

    def _wait_as_storage_does(self) -> None:
        for _ in range(STORAGE_TRIES if self._fails else 1):
            left = seconds_left()
            self._system.pass_time(timedelta(seconds=min(STORAGE_TRY, left or STORAGE_TRY)))


def storage_away() -> TransientError:
    return TransientError("storage_unavailable", service="tables")


def slow_services(*failing: str) -> FakeServices:
    medium = os.urandom(2_900_000)
    services = large_file_services(small=b"1", medium=medium, medium2=medium, large=os.urandom(6_000_000))
    for name in (*OF_STORAGE, "transport"):
        port = getattr(services, name)
        is_graph = name == "transport"
        slow = SlowPort(port, services.system, graph=is_graph, fails=name in failing)
        setattr(services, name, slow)
    return services


@pytest.mark.parametrize("failing", [(), *((name,) for name in OF_STORAGE), ("transport",), OF_STORAGE])
@pytest.mark.parametrize("files", [[], ["small"], ["medium", "medium2", "large"], ["small"] * 30])
def test_an_attempt_ends_before_the_host_ends_it_though_every_call_is_slow(
    failing: tuple[str, ...], files: list[str]
) -> None:
    services = slow_services(*failing)
    queued = services.outbox.messages
    mail = a_message(messageId="m-1", attachments=[a_file(name) for name in files])
    message = mail
    for number in range(4):
        started = services.system.passed
        with suppress(TransientError):
            deliver(message, f"q-{number}", services)
        assert services.system.passed - started < FUNCTION_TIMEOUT
        message = queued[-1][0] if queued else mail


def test_the_poison_function_ends_in_time_too() -> None:
    services = slow_services("deliveries")
    with suppress(TransientError):
        record_poisoned(a_message(messageId="m-1"), "p-1", services)

    assert services.system.passed < FUNCTION_TIMEOUT


@pytest.mark.parametrize(("seconds", "releases"), [(60.0, False), (10.0, True)])
def test_the_timer_ends_in_time_too_and_leaves_the_rest_to_the_next_run(
    monkeypatch: pytest.MonkeyPatch, seconds: float, *, releases: bool
) -> None:
    monkeypatch.setattr("tests.test_time_limit.STORAGE_TRY", seconds)
    services = slow_services()
    for number in range(20):
        row = Delivery(CONTOSO, f"m-{number}", DeliveryStatus.WAITING_FOR_CONSENT, NOON, NOON, NOON)
        services.deliveries.add(row)
    started = services.system.passed
    release_all(services)

    assert services.system.passed - started < FUNCTION_TIMEOUT
    assert bool(services.outbox.messages) is releases
    assert services.deliveries.count(CONTOSO, [DeliveryStatus.WAITING_FOR_CONSENT])


def test_the_limits_leave_room_before_the_hosts_timeout() -> None:
    host = json.loads((Path(__file__).parent.parent / "host.json").read_text())
    hours, minutes, seconds = map(int, host["functionTimeout"].split(":"))
    timeout = timedelta(hours=hours, minutes=minutes, seconds=seconds)

    assert timeout == FUNCTION_TIMEOUT
    assert SENDING_LIMIT + timedelta(seconds=GRAPH_CALL) < RECORDING_LIMIT - timedelta(minutes=1)
    assert timeout > RECORDING_LIMIT


def test_the_time_counts_from_the_triggers_start() -> None:
    services = large_file_services()
    load = services.settings.check_owner

    def slowly(tenant_id: str) -> None:
        services.system.pass_time(SENDING_LIMIT)
        load(tenant_id)

    services.settings.check_owner = slowly  # type: ignore[method-assign]
    deliver(a_message(messageId="m-1"), "q-1", services)

    assert services.deliveries.rows[CONTOSO, "m-1"].problem.code == "attempt_too_long"  # type: ignore[union-attr]
    assert not services.transport.sent


def test_a_wait_for_a_place_at_the_mailbox_ends_with_the_time() -> None:
    system = FakeSystem()
    taken = threading.Semaphore(0)
    with limit_invocation(system):
        system.pass_time(SENDING_LIMIT - timedelta(milliseconds=1))
        with pytest.raises(NothingSentError, match="attempt_too_long"), acquire_in_time(taken):
            raise AssertionError


def test_a_clock_that_is_set_back_lengthens_nothing() -> None:
    system = FakeSystem()
    with limit_invocation(system):
        system.pass_time(SENDING_LIMIT)
        system.set_clock(timedelta(hours=-1))
        with pytest.raises(NothingSentError):
            seconds_left()


def test_recording_has_more_time_and_calls_no_graph() -> None:
    system = FakeSystem()
    with limit_invocation(system):
        assert seconds_left() == SENDING_LIMIT.total_seconds()
        system.pass_time(SENDING_LIMIT)
        with extend_for_recording():
            assert seconds_left() == (RECORDING_LIMIT - SENDING_LIMIT).total_seconds()
            with pytest.raises(NothingSentError):
                check_sending()
        with pytest.raises(NothingSentError):
            seconds_left()
    assert seconds_left() is None


def test_without_an_invocation_nothing_is_limited() -> None:
    system = FakeSystem()
    with extend_for_recording(), acquire_in_time(threading.Lock()):
        assert seconds_left() is None
    check_sending()
    assert invocation_start(system) == Moment.of(system)


def test_a_thread_that_is_given_the_context_has_the_limit_too() -> None:
    with limit_invocation(FakeSystem()):
        context = copy_context()
    assert context.run(seconds_left) == SENDING_LIMIT.total_seconds()
