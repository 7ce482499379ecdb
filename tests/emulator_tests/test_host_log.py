"""Log records leave the worker complete and appear as observed."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.telemetry import Event
from tests.emulator_tests.functions_host import SampleHost, Setup, own_host_only, sample_host, wait_for
from tests.local_stack.host_process import CORE_TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local_stack.azurite import Azurite

pytestmark = pytest.mark.stack

EVENTS_APP = Path(__file__).parent / "events_app"
#: Core Tools print the time before each line instead.
own_format = pytest.mark.skipif(CORE_TOOLS is not None, reason="Core Tools have a format of their own.")


@pytest.fixture(scope="module")
def records_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records") / "records.jsonl"


@pytest.fixture(scope="module")
def host(
    azurite: Azurite, records_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SampleHost]:
    setup = Setup(log_records=None if CORE_TOOLS else records_file)
    with sample_host(azurite, tmp_path_factory.mktemp("log"), setup) as running:
        yield running


def records(file: Path) -> list[dict[str, Any]]:
    """Read the log records that left the worker."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@own_format
def test_a_record_shows_its_function_and_below_it_its_text(host: SampleHost) -> None:
    host.request("GET", "/api/say")
    wait_for(lambda: "said_lines" in host.log())

    shown = [line for line in host.log().splitlines() if "said_" in line or line.strip() == "second"]
    labels = {"info": "info", "warn": "warning", "fail": "error", "crit": "critical"}
    for label, level in labels.items():
        assert f'{label}: Function.say.User[0]\n      said_level {{"level": "{level}"}}\n' in host.log()
    assert "fail: Function.say.User[0]\n      said_lines first\n      second\n" in host.log()
    # Neither a debug record, nor a record of another thread, nor what `print` wrote.
    assert len(shown) == len(labels) + 2


def test_the_levels_of_host_json_decide_what_is_shown(host: SampleHost) -> None:
    host.request("GET", "/api/quiet")
    wait_for(lambda: "said_loudly" in host.log())

    assert "said_too_quietly" not in host.log()


@own_format
def test_a_failure_is_shown_twice_with_its_trace(host: SampleHost) -> None:
    host.request("POST", "/api/respond", body=b'{"how": "raise"}')
    wait_for(lambda: "Host.Results" in host.log())

    log = host.log()
    assert log.count("RuntimeError: a defect") >= 2
    for category in ("Function.respond[3]", "Host.Results[0]"):
        assert f"fail: {category}\n      Executed 'Functions.respond' (Failed, Id=" in log


def test_the_hosts_own_storage_calls_are_not_in_its_log(host: SampleHost) -> None:
    host.put("a quiet call")
    host.results(1)

    assert "Request URL" not in host.log()


@own_host_only
def test_a_record_leaves_the_worker_whole_and_with_its_invocation(
    host: SampleHost, records_file: Path
) -> None:
    invocation_id = host.request("GET", "/api/say").body.decode()
    found = wait_for(lambda: [each for each in records(records_file) if each["invocation"] == invocation_id])

    assert [each["text"] for each in found] == [
        *(f'said_level {{"level": "{level}"}}' for level in ("info", "warning", "error", "critical")),
        "said_lines first\nsecond",
    ]


@own_host_only
def test_a_record_of_another_thread_belongs_to_no_invocation(host: SampleHost, records_file: Path) -> None:
    host.request("GET", "/api/say")

    found = wait_for(lambda: [each for each in records(records_file) if each["text"] == "said_elsewhere"])
    assert found[0]["invocation"] is None


@own_host_only
def test_each_event_of_the_mailer_leaves_the_worker_as_one_intact_record(
    azurite: Azurite, tmp_path: Path
) -> None:
    """Many at once, each with line breaks and braces in its fields."""
    file = tmp_path / "records.jsonl"
    with sample_host(azurite, tmp_path, Setup(app=EVENTS_APP, log_records=file)) as host:
        with ThreadPoolExecutor(8) as pool:
            responses = list(
                pool.map(lambda _: host.request("POST", "/api/write-events", body=b"{}"), range(24))
            )
        console = host.log()

    written = Counter((each["invocation"], each["text"].partition(" ")[0]) for each in records(file))
    fields = [json.loads(each["text"].partition(" ")[2]) for each in records(file)]
    ids = [response.body.decode() for response in responses]
    assert written == Counter((each, event.value) for each in ids for event in Event)
    assert Counter(each["place"] for each in fields) == dict.fromkeys(range(len(Event)), 24)
    assert all(each["text"].startswith("first\nsecond") for each in fields)
    assert [event for event in Event if console.count(f"\n      {event} {{") != 24] == []
