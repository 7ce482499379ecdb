"""Every queued message reaches the app, and an operator can replay it."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.queue import QueueClient

from shared.storage_names import API_VERSION, MAIL_OUTBOX_POISON
from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin, Scheduler, wait_for
from tests.local_stack.host_process import MASTER_KEY, REPOSITORY
from tests.local_stack.loopback import loopback_session
from tests.local_stack.microsoft365.contoso import ADA, CONTOSO
from tests.local_stack.stack import QUICK, LocalStack

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local_stack.microsoft365 import AcceptedMail

pytestmark = pytest.mark.stack

RUNBOOK = (REPOSITORY / "docs" / "operations" / "queue.md").read_text("utf-8")
BODY = {"contentType": "text", "content": "Up 4 %, Süd."}
MAX_JSON_BYTES = 48 * 1024
EVENT_GRID = {
    "id": "1",
    "topic": "/subscriptions/1",
    "subject": "reports",
    "eventType": "Report.Ready",
    "eventTime": "2026-11-23T06:00:00Z",
    "dataVersion": "1",
    "data": {"to": ["cfo@contoso.com"]},
}
CELERY = {
    "body": "W10=",
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": {"task": "mail"},
    "properties": {"correlation_id": "1"},
}


def a_mail(message_id: str) -> str:
    return json.dumps(
        {
            "schemaVersion": 1,
            "messageId": message_id,
            "tenantId": CONTOSO,
            "to": ["cfo@contoso.com"],
            "subject": message_id,
            "body": BODY,
        },
        ensure_ascii=False,
    )


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def sent(stack: LocalStack, subject: str) -> list[AcceptedMail]:
    return [mail for mail in stack.microsoft365.mails() if mail.subject == subject]


def poison_length(stack: LocalStack) -> int:
    with QueueClient.from_connection_string(
        stack.azurite.connection_string, MAIL_OUTBOX_POISON, api_version=API_VERSION
    ) as queue:
        return int(queue.get_queue_properties().approximate_message_count or 0)


@pytest.mark.parametrize(
    ("client", "write"),
    [
        ("plain", lambda text: text),
        ("base64", encoded),
        ("base64-in-lines", lambda text: base64.encodebytes(text.encode()).decode()),
        ("plain-with-a-mark", lambda text: "\ufeff" + text),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_mail_is_sent_however_its_client_writes_it(
    enabled: Admin, scheduler: Scheduler, stack: LocalStack, client: str, write: Any
) -> None:
    name = f"written:{client}"
    scheduler.queue_raw(write(a_mail(name)))

    enabled.delivery(name, "accepted")

    (mail,) = sent(stack, name)
    assert mail.body == BODY["content"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (encoded(gzip.compress(b"{}", mtime=0)), "compressed data (gzip) in base64"),
        (encoded(a_mail("m-1").encode("utf-16")), "text in UTF-16 in base64"),
        (encoded(a_mail("m-1").encode("latin-1")), "text in another encoding than UTF-8 in base64"),
        (encoded(encoded(a_mail("m-1"))), "base64 in base64"),
        ("plain text, neither JSON nor base64", "no JSON"),
        (f"[{a_mail('m-1')}]", "a list"),
        (json.dumps(EVENT_GRID), "an Event Grid event"),
        (encoded(json.dumps(CELERY)), "a Celery message in base64"),
    ],
    ids=["gzip", "UTF-16", "Latin-1", "base64 twice", "plain text", "list", "Event Grid", "Celery"],
)
def test_who_queued_something_else_finds_what_it_was_under_the_queues_id(
    enabled: Admin, scheduler: Scheduler, stack: LocalStack, text: str, found: str
) -> None:
    queue_id = scheduler.queue_raw(text)

    delivery = enabled.delivery(f"unreadable-{queue_id}", "invalid")

    assert delivery["problem"]["code"] == "unreadable_message"
    assert f"The queued message is {found}." in delivery["problem"]["detail"]
    assert f"{len(text.encode())} bytes" in delivery["problem"]["detail"]
    listed = enabled.read("deliveries?status=invalid&limit=200")["deliveries"]
    assert delivery["messageId"] in {each["messageId"] for each in listed}
    assert text not in stack.host_log()
    assert poison_length(stack) == 0


def of_size(size: int, message_id: str) -> str:
    """Return a mail whose JSON has so many bytes of UTF-8."""
    content = a_mail(message_id).replace("Süd", "Süd{}", 1)
    return content.replace("{}", "x" * (size - len(content.encode()) + 2), 1)


def test_48_kib_of_json_are_sent_plain_or_in_base64_and_more_is_invalid(
    enabled: Admin, scheduler: Scheduler
) -> None:
    largest = of_size(MAX_JSON_BYTES, "largest:base64")
    assert len(largest.encode()) == MAX_JSON_BYTES
    scheduler.queue_raw(encoded(largest))
    scheduler.queue_raw(of_size(MAX_JSON_BYTES, "largest:plain"))
    # Base64 of more does not fit into a message, which has 64 KiB.
    scheduler.queue_raw(of_size(MAX_JSON_BYTES + 1, "too-large:plain"))

    enabled.delivery("largest:base64", "accepted")
    enabled.delivery("largest:plain", "accepted")
    refused = enabled.delivery("too-large:plain", "invalid")
    assert refused["errors"][0]["message"] == "is 49153 bytes; at most 49152 are allowed"


@pytest.mark.skipif(shutil.which("jq") is None, reason="The runbook's script needs jq; not installed.")
def test_the_replay_of_the_runbook_sends_what_is_in_the_poison_queue(tmp_path: Path) -> None:
    """`docs/operations/queue.md`: with the function off it replays each text."""
    disabled = {"AzureWebJobs.record_poisoned_mail.Disabled": "true"}
    with LocalStack(settings=QUICK | disabled) as stack:
        admin = Admin(stack.api_url, stack.microsoft365.api_token(ADA), stack.authority.ca_file)
        text = stack.azurite.connection_string
        with (
            closing(admin),
            QueueClient.from_connection_string(text, MAIL_OUTBOX_POISON, api_version=API_VERSION) as poison,
        ):
            started = admin.call("POST", "tenant-settings/smtp/enable", {"fromEmailAddress": ADA}).json()
            BrowserClient(stack.authority.ca_file).consent(started["startUrl"], ADA)
            poison.send_message(a_mail("replayed:plain"))
            poison.send_message(encoded(a_mail("replayed:base64")))
            ready = admin.read("health/ready")
            run_timer(stack, "release_waiting_mails")
            wait_for(lambda: 'poison_queue_not_empty {"length": 2}' in stack.host_log() or None, "the event")

            run_replay(tmp_path, text)
            for form in ("plain", "base64"):
                admin.delivery(f"replayed:{form}", "accepted")

            assert (ready["status"], ready["poisonQueueLength"]) == ("ready", 2)
            assert admin.read("health/ready")["poisonQueueLength"] == 0


def run_replay(directory: Path, connection_string: str) -> None:
    """Run the script of the runbook, with a program in place of `az`."""
    section = RUNBOOK.partition("## Still in the poison queue\n")[2]
    script = textwrap.dedent(re.findall(r"^ +```bash\n(.*?)^ +```", section, re.MULTILINE | re.DOTALL)[0])
    az = directory / "az"
    az.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.local_stack.az "$@"\n')
    az.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{directory}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "AzureWebJobsStorage": connection_string,
        "STORAGE_ACCOUNT_NAME": "mailer",
    }
    subprocess.run(["/bin/bash", "-eu", "-c", script], cwd=directory, env=environment, check=True, timeout=60)


def run_timer(stack: LocalStack, name: str) -> None:
    """Run a timer function now, as the portal does."""
    with loopback_session(stack.authority.ca_file) as session:
        response = session.post(
            f"{stack.api_url}/admin/functions/{name}",
            json={"input": ""},
            headers={"x-functions-key": MASTER_KEY},
            timeout=10,
        )
    assert response.status_code == 202
