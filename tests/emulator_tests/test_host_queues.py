"""Queue triggers, outputs and timers behave as in the open-source host."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator_tests.functions_host import SampleHost, Setup, own_host_only, sample_host, wait_for
from tests.local_stack.host.options import Waits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local_stack.azurite import Azurite

pytestmark = pytest.mark.stack

OBSERVED = json.loads((Path(__file__).parent / "functions_host_observed.json").read_text("utf-8"))
MESSAGES = {each["name"]: each for each in OBSERVED["messages"]}
NOT_CALLED = {name for name, each in MESSAGES.items() if each["function"] == "not called"}
#: How an app's host.json is changed by the environment, on every host.
FAST = {
    "extensions__queues__visibilityTimeout": "00:00:01",
    "extensions__queues__maxPollingInterval": "00:00:00.2000000",
}


def text_of(message: dict[str, Any]) -> str:
    """Return the text of an observed message as it is in the queue."""
    return base64.b64encode(b"x" * message["size"]).decode() if "size" in message else message["text"]


@pytest.fixture(scope="module")
def host(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleHost]:
    with sample_host(azurite, tmp_path_factory.mktemp("queues"), Setup(host_json=FAST)) as running:
        yield running


def test_messages_reach_the_function_or_the_poison_queue_as_observed(host: SampleHost) -> None:
    for message in MESSAGES.values():
        host.put(text_of(message), encode=False)

    results = host.results(len(MESSAGES) - len(NOT_CALLED))
    wait_for(lambda: host.count("work-poison") == len(NOT_CALLED) and host.count("work") == 0)

    wanted = [each["function"] for name, each in MESSAGES.items() if name not in NOT_CALLED]
    found = [{name: result[name] for name in wanted[0]} for result in results]
    assert sorted(found, key=str) == sorted(wanted, key=str)
    # The poison function cannot decode these either, so they are hidden from everybody who looks.
    assert host.receive_raw("work-poison") == []


def test_a_function_with_bytes_gets_any_decoded_base64(host: SampleHost) -> None:
    names = ("Latin-1", "UTF-16", "binary", "UTF-8 with BOM", "NUL", "empty")
    for name in names:
        host.put(MESSAGES[name]["text"], "bytes", encode=False)

    results = host.results(len(names))

    lengths = [len(base64.b64decode(MESSAGES[name]["text"])) for name in names]
    assert {result["function"] for result in results} == {"bytes"}
    assert sorted(result["length"] for result in results) == sorted(lengths)
    assert {result["dequeue_count"] for result in results} == {1}


def test_without_encoding_a_function_gets_the_text_as_it_is_queued(azurite: Azurite, tmp_path: Path) -> None:
    plain = Setup(host_json=FAST | {"extensions__queues__messageEncoding": "none"})
    texts = ['{"a": "ü"}', base64.b64encode(b"encoded").decode(), "plain, no base64", " spaces "]
    with sample_host(azurite, tmp_path, plain) as host:
        for text in texts:
            host.put(text, "work", encode=False)
            host.put(text, "bytes", encode=False)
        found = [json.loads(text) for text in host.receive_texts(8)]

    assert sorted((each["function"], each["body"]) for each in found) == sorted(
        (function, text) for function in ("bytes", "work") for text in texts
    )


@pytest.mark.parametrize("output", OBSERVED["outputs"], ids=lambda output: output["name"])
def test_what_a_function_puts_out_is_queued_as_observed(host: SampleHost, output: dict[str, Any]) -> None:
    response = host.request("POST", "/api/emit", body=output["text"].encode())

    assert response.status == output["status"]
    texts = host.receive_texts(len(output["messages"]))
    assert [base64.b64decode(text).decode() for text in texts] == output["messages"]


def test_a_failing_message_is_tried_again_later_and_then_poisoned(azurite: Azurite, tmp_path: Path) -> None:
    wanted = OBSERVED["times"]["failing_message"]
    with sample_host(azurite, tmp_path) as host:
        began = time.time()
        host.put("fail")
        (poisoned,) = host.results(1)
        log = host.log()

    assert log.count("working on fail") == wanted["tries"]
    assert (poisoned["function"], poisoned["body"], poisoned["dequeue_count"]) == ("poison", "fail", 1)
    # Observed were 6 s. The pauses between two looks at a queue are random, up to 2 s here.
    shortest = 2.0 * (wanted["tries"] - 1)
    assert shortest <= poisoned["ended"] - began <= 2 * wanted["seconds until the poison function"]


def test_as_many_messages_run_at_once_as_host_json_allows(host: SampleHost) -> None:
    for _ in range(12):
        host.put("wait 0.5")

    results = host.results(12)

    ends = sorted(result["ended"] for result in results)
    wanted = OBSERVED["times"]["many_messages"]["most at one time"]
    # With four at a time a fifth cannot end within half a second of the first.
    within = [sum(first <= end < first + 0.5 for end in ends) for first in ends]
    assert max(within) == wanted
    assert len({result["process"] for result in results}) == 1


@own_host_only
def test_a_message_that_fails_in_the_poison_function_stays_hidden(azurite: Azurite, tmp_path: Path) -> None:
    with sample_host(azurite, tmp_path, Setup(host_json=FAST, waits=Waits(lease=4))) as host:
        host.put("fail as poison too", "work-poison")
        host.child.wait_for_lines("(Executed 'Functions.poison' .Failed)", 1, 10)
        began = time.monotonic()
        host.child.wait_for_lines("(Executing 'Functions.poison')", 2, 10)
        took = time.monotonic() - began
        hidden = host.count("work-poison")

    assert took > 3.0  # Not after visibilityTimeout, which is a second.
    assert hidden == 1


def test_a_message_of_a_killed_host_returns_after_its_lease(azurite: Azurite, tmp_path: Path) -> None:
    with sample_host(azurite, tmp_path, Setup(host_json=FAST, waits=Waits(lease=2))) as killed:
        killed.put("wait 1")
        killed.child.wait_for_lines("(working on wait)", 1, 15)
        killed.child.kill()
        with sample_host(azurite, tmp_path, Setup(host_json=FAST), name=killed.name) as second:
            (result,) = second.results(1)

    assert (result["body"], result["dequeue_count"]) == ("wait 1", 2)


def test_a_timer_shows_its_function_what_was_observed(azurite: Azurite, tmp_path: Path) -> None:
    wanted = OBSERVED["times"]["timer"]
    with sample_host(azurite, tmp_path, Setup(schedule="*/2 * * * * *")) as host:
        ticks = host.results(2, "ticks")

    assert [tick["past_due"] for tick in ticks] == [wanted["past due"]] * 2
    assert ticks[0]["status"] == sorted(wanted["status"])
    assert ticks[0]["schedule"] == wanted["schedule_info"]
    assert all(tick["at"] % 2 < 1 for tick in ticks)


def test_a_timer_runs_on_demand(host: SampleHost) -> None:
    assert host.admin("POST", "functions/tick", b'{"input": ""}').status == 202

    (tick,) = host.results(1, "ticks")
    assert tick["status"] == ["Last", "LastUpdated", "Next"]
