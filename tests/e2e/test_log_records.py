"""Every event is one complete log record with its invocation."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.emulator_tests.functions_host import own_host_only
from tests.local_stack.clients import Admin, Scheduler
from tests.local_stack.stack import LocalStack

pytestmark = [pytest.mark.stack, own_host_only]

CALLS = 60
MAILS = 15


def records(stack: LocalStack) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stack.log_records.read_text("utf-8").splitlines()]


def test_every_event_leaves_the_worker_whole_under_load(
    enabled: Admin, scheduler: Scheduler, stack: LocalStack
) -> None:
    before = len(records(stack))
    body = {"contentType": "text", "content": "Up 4 %."}
    names = [f"recorded:{number}" for number in range(MAILS)]
    for name in names:
        scheduler.queue(name, to=["cfo@contoso.com"], subject=name, body=body)
    with ThreadPoolExecutor(8) as pool:
        paths = [f"deliveries/missing:{number}" for number in range(CALLS)]
        statuses = list(pool.map(lambda path: enabled.call("GET", path).status_code, paths))
    for name in names:
        enabled.delivery(name, "accepted")

    found = records(stack)[before:]
    events = [each["text"].partition(" ") for each in found if " {" in each["text"]]
    fields = [(name, json.loads(text)) for name, _, text in events if text.startswith("{")]
    refused = [each for name, each in fields if name == "request_failed"]
    accepted = Counter(each["message_id"] for name, each in fields if name == "mail_accepted")
    assert statuses == [404] * CALLS
    assert sum(each["problem"] == "delivery_not_found" for each in refused) == CALLS
    assert {name: accepted[name] for name in names} == dict.fromkeys(names, 1)
    assert all(each["invocation"] for each in found if " {" in each["text"])
