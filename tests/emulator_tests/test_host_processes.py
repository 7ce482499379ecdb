"""Processes, stops and drains behave as in the open-source host."""

from __future__ import annotations

import http.client
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.emulator_tests.functions_host import RawResponse, Setup, own_host_only, sample_host, wait_for
from tests.local_stack.host.options import Waits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.emulator_tests.functions_host import SampleHost
    from tests.local_stack.azurite import Azurite

pytestmark = [pytest.mark.stack, own_host_only]

#: What a client sees of a connection that was cut.
CUT = (ConnectionError, http.client.HTTPException)
SOON = Waits(timeout_grace=0.3, restart=1.0, http_stop=2.0, queue_stop=2.0, lease=20)
FAST = {
    "extensions__queues__visibilityTimeout": "00:00:01",
    "extensions__queues__maxPollingInterval": "00:00:00.2000000",
}


def timed(host: SampleHost, target: str) -> tuple[RawResponse, float]:
    """Call a function and return its duration."""
    began = time.monotonic()
    response = host.request("GET", target)
    return response, time.monotonic() - began


def process(host: SampleHost) -> bytes:
    """Return the id of the process that runs functions."""
    return host.request("GET", "/api/process").body


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_a_function_timeout_replaces_the_process_before_the_caller_knows(
    azurite: Azurite, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    setup = Setup(host_json=FAST | {"functionTimeout": "00:00:02"}, waits=SOON)
    with sample_host(azurite, tmp_path, setup) as host:
        before = process(host)
        late = threads.submit(timed, host, "/api/wait?seconds=30")
        time.sleep(1.0)
        beside = threads.submit(timed, host, "/api/wait-async?seconds=1.8")
        response, took = late.result()
        lost, lost_took = beside.result()
        after = process(host)
        log = host.log()

    assert (response.status, response.body) == (500, b"")
    # The time of the function, the grace for it, and the pause after the start of another process.
    assert took > 2.0 + 0.3 + 1.0
    # It would have ended in time, but its process is gone: its caller waits for its own timeout.
    assert lost.status == 500
    assert lost_took > 2.0 + 0.3
    assert after != before
    assert "Timeout value of 2.0 s exceeded by function 'Functions.wait'" in log


def test_a_function_that_ends_within_the_grace_period_keeps_its_process(
    azurite: Azurite, tmp_path: Path
) -> None:
    setup = Setup(host_json={"functionTimeout": "00:00:01"}, waits=Waits(timeout_grace=5))
    with sample_host(azurite, tmp_path, setup) as host:
        before = process(host)
        response, _ = timed(host, "/api/wait?seconds=1.5")

        assert response.status == 500
        assert process(host) == before


def test_a_process_that_dies_fails_everything_in_it_at_once(
    azurite: Azurite, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    with sample_host(azurite, tmp_path, Setup(host_json=FAST, waits=SOON)) as host:
        before = process(host)
        beside = threads.submit(timed, host, "/api/wait?seconds=20")
        time.sleep(0.5)
        response, took = timed(host, "/api/die")
        other, other_took = beside.result()
        after = process(host)
        host.put("die")
        (result,) = host.results(1)

    assert (response.status, other.status) == (500, 500)
    assert took < 3
    assert other_took < 5
    assert after not in (before, b"")
    assert (result["body"], result["dequeue_count"]) == ("die", 2)


def test_a_third_dead_process_ends_the_host(azurite: Azurite, tmp_path: Path) -> None:
    with sample_host(azurite, tmp_path, Setup(waits=Waits(restart=0.1))) as host:
        for _ in range(3):
            process(host)
            host.request("GET", "/api/die")
        wait_for(lambda: not host.child.running)

        assert host.child.stop() == 1
        assert "Exceeded language worker restart retry count" in host.log()


def test_a_stop_refuses_connections_and_lets_calls_finish(
    azurite: Azurite, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    with sample_host(azurite, tmp_path, Setup(waits=Waits(queue_stop=1))) as host:
        running = threads.submit(timed, host, "/api/wait?seconds=2")
        host.child.wait_for_lines("(Executing 'Functions.wait')", 1, 10)
        os.kill(host.child.pid, signal.SIGINT)
        time.sleep(0.5)
        with pytest.raises(ConnectionError):
            process(host)

        response, _ = running.result()
        assert (response.status, response.body) == (200, b"waited")
        wait_for(lambda: not host.child.running)
        assert host.child.stop() == 0


def test_a_stop_cuts_calls_and_messages_that_take_too_long(
    azurite: Azurite, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    with sample_host(azurite, tmp_path, Setup(host_json=FAST, waits=SOON)) as host:
        calling = threads.submit(timed, host, "/api/wait?seconds=20")
        host.put("wait 20")
        host.child.wait_for_lines("(working on wait)", 1, 10)
        began = time.monotonic()
        os.kill(host.child.pid, signal.SIGINT)
        wait_for(lambda: not host.child.running)
        took = time.monotonic() - began
        with pytest.raises(CUT):
            calling.result()
        hidden = host.receive_raw("work"), host.count("work")

    assert SOON.http_stop + SOON.queue_stop <= took < 15
    # The message is neither done nor failed: it stays hidden for the rest of its lease.
    assert hidden == ([], 1)


def test_messages_are_still_fetched_while_a_stop_waits(azurite: Azurite, tmp_path: Path) -> None:
    with sample_host(azurite, tmp_path, Setup(host_json=FAST, waits=Waits(queue_stop=6))) as host:
        host.put("wait 2")
        host.child.wait_for_lines("(working on wait)", 1, 10)
        os.kill(host.child.pid, signal.SIGINT)
        host.put("after the signal")

        bodies = {result["body"] for result in host.results(2)}
        assert bodies == {"wait 2", "after the signal"}
        wait_for(lambda: not host.child.running)
        assert host.child.stop() == 0


def test_sigterm_is_ignored(azurite: Azurite, tmp_path: Path) -> None:
    with sample_host(azurite, tmp_path) as host:
        before = process(host)
        os.kill(host.child.pid, signal.SIGTERM)
        time.sleep(0.5)

        assert process(host) == before


def test_a_drain_takes_nothing_new_and_finishes_what_runs(azurite: Azurite, tmp_path: Path) -> None:
    with sample_host(azurite, tmp_path, Setup(host_json=FAST)) as host:
        assert host.admin("GET", "host/drain/status").json()["state"] == "Disabled"
        host.put("wait 2")
        host.child.wait_for_lines("(working on wait)", 1, 10)

        assert host.admin("POST", "host/drain").status == 202
        status = host.admin("GET", "host/drain/status").json()
        host.put("not yet")
        (finished,) = host.results(1)
        wait_for(lambda: host.admin("GET", "host/drain/status").json()["state"] == "Completed")
        called = host.request("GET", "/api/only-get").status
        left = host.count("work")
        resumed = host.admin("POST", "host/resume").json()
        (later,) = host.results(1)

    assert status == {"state": "InProgress", "outstandingInvocations": 1, "outstandingRetries": 0}
    assert (finished["body"], later["body"]) == ("wait 2", "not yet")
    assert (called, left, resumed) == (200, 1, {"state": "Running"})


@pytest.mark.long
@pytest.mark.timeout(180)
def test_the_response_to_a_function_timeout_of_5_s_takes_17_s(azurite: Azurite, tmp_path: Path) -> None:
    with sample_host(azurite, tmp_path, Setup(host_json={"functionTimeout": "00:00:05"})) as host:
        response, took = timed(host, "/api/wait?seconds=60")

    assert response.status == 500
    assert 17.0 <= took < 19.0


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_stop_ends_after_41_s_at_most(
    azurite: Azurite, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    with sample_host(azurite, tmp_path) as host:
        calling = threads.submit(timed, host, "/api/wait?seconds=50")
        host.put("wait 60")
        host.child.wait_for_lines("(working on wait)", 1, 10)
        began = time.monotonic()
        os.kill(host.child.pid, signal.SIGINT)
        wait_for(lambda: not host.child.running, 60)
        took = time.monotonic() - began
        with pytest.raises(CUT):
            calling.result()

    assert 40.0 <= took < 44.0
