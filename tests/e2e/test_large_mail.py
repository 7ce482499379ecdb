"""Large mail through real queue, blobs, worker and TLS; calls per mail."""

import base64
import hashlib
import json
import os
from typing import Any

import pytest
from azure.storage.queue import QueueClient

from shared.storage_names import API_VERSION, MAIL_OUTBOX_POISON
from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin, Scheduler, mails_of
from tests.local_stack.microsoft365 import AcceptedMail
from tests.local_stack.microsoft365.contoso import ADA, CONTOSO
from tests.local_stack.microsoft365.request_log import LoggedRequest
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.stack

BODY = {"contentType": "html", "content": "<p>Grüße</p>"}
MEGABYTE = 1024 * 1024


@pytest.fixture
def new_id(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name}:2026-11-23"


@pytest.fixture
def large(admin: Admin, browser: BrowserClient) -> Admin:
    """Have Ada consented to large file attachments too."""
    wanted = {"fromEmailAddress": ADA, "largeFileAttachments": True}
    started = admin.call("POST", "tenant-settings/smtp/enable", wanted).json()
    browser.consent(started["startUrl"], ADA)
    return admin


def a_file(scheduler: Scheduler, name: str, content: bytes, **members: Any) -> dict[str, Any]:
    path = scheduler.upload(f"large/{name}", content)
    return {"name": name, "contentType": "application/octet-stream", "blob": path, **members}


def sent(stack: LocalStack, subject: str) -> list[AcceptedMail]:
    return [mail for mail in stack.microsoft365.mails() if mail.subject == subject]


def requests_of(stack: LocalStack, subject: str) -> list[LoggedRequest]:
    """List the requests to Graph that handed over the mails of a subject."""
    ids = {mail.client_request_id for mail in sent(stack, subject)}
    log = stack.microsoft365.requests.all(host="graph")
    return [request for request in log if request.headers.get("Client-Request-Id") in ids]


def test_twenty_mixed_files_arrive_byte_for_byte(
    large: Admin, scheduler: Scheduler, stack: LocalStack, new_id: str
) -> None:
    sizes = [0, 1, 500, 70_000, 2_900_000, 2_999_999, 3_000_000, 3_500_000] + [40_000] * 12
    contents = [os.urandom(size) for size in sizes]
    files = [a_file(scheduler, f"f{number}.bin", content) for number, content in enumerate(contents)]
    files[3] |= {"inline": True, "contentId": "small1"}
    files[7] |= {"inline": True, "contentId": "large1"}
    scheduler.queue(new_id, to=["cfo@contoso.com"], subject=new_id, body=BODY, attachments=files)

    large.delivery(new_id, "accepted")

    (mail,) = sent(stack, new_id)
    assert [(file.name, file.read()) for file in mail.attachments] == [
        (f"f{number}.bin", content) for number, content in enumerate(contents)
    ]
    inline = [(file.name, file.content_id) for file in mail.attachments if file.inline]
    assert inline == [("f3.bin", "small1"), ("f7.bin", "large1")]
    assert not stack.microsoft365.drafts(ADA) or all(
        draft.arrives is not None for draft in stack.microsoft365.drafts(ADA)
    )


def test_a_mail_over_the_limit_waits_for_the_operator_before_any_request(
    large: Admin, scheduler: Scheduler, stack: LocalStack, new_id: str
) -> None:
    stack.microsoft365.requests.clear()
    file = a_file(scheduler, "huge.bin", bytes(27 * MEGABYTE))
    scheduler.queue(new_id, to=["cfo@contoso.com"], subject=new_id, body=BODY, attachments=[file])

    delivery = large.delivery(new_id, "waiting_for_operator")

    assert delivery["problem"]["code"] == "message_too_large"
    assert f"Set-Mailbox -Identity {ADA} -MaxSendSize 150MB" in delivery["problem"]["detail"]
    assert not stack.microsoft365.requests.all(host="graph")


def test_an_upload_that_breaks_off_continues_and_the_files_are_whole(
    large: Admin, scheduler: Scheduler, stack: LocalStack, new_id: str
) -> None:
    content = os.urandom(9 * MEGABYTE)
    stack.microsoft365.faults.add("uploadChunk", "reset but accepted", nth=2)
    stack.microsoft365.requests.clear()
    file = a_file(scheduler, "broken-off.bin", content)
    scheduler.queue(new_id, to=["cfo@contoso.com"], subject=new_id, body=BODY, attachments=[file])

    large.delivery(new_id, "accepted")

    (mail,) = sent(stack, new_id)
    assert hashlib.sha256(mail.attachments[0].read()).digest() == hashlib.sha256(content).digest()
    assert len(stack.microsoft365.requests.all("createUploadSession")) == 1
    assert len(stack.microsoft365.requests.all("uploadChunk")) <= 5


def test_a_throttled_mail_waits_and_is_sent(
    large: Admin, scheduler: Scheduler, stack: LocalStack, new_id: str
) -> None:
    stack.microsoft365.faults.add("sendMail", "throttled")
    scheduler.queue(new_id, to=["cfo@contoso.com"], subject=new_id, body=BODY)

    waiting = large.delivery(new_id, "deferred")
    done = large.delivery(new_id, "accepted")

    assert waiting["problem"]["code"] == "mailbox_throttled"
    assert [step["status"] for step in done["history"]] == ["sending", "deferred", "sending", "accepted"]
    assert len(sent(stack, new_id)) == 1


def test_a_response_of_504_to_a_mail_that_was_sent_makes_one_mail(
    large: Admin, scheduler: Scheduler, stack: LocalStack, new_id: str
) -> None:
    stack.microsoft365.faults.add("sendMail", "timeout but accepted")
    scheduler.queue(new_id, to=["cfo@contoso.com"], subject=new_id, body=BODY)

    large.delivery(new_id, "verifying")
    large.delivery(new_id, "accepted")

    assert len(sent(stack, new_id)) == 1


def test_with_mail_send_only_the_decision_is_left_to_the_admin(
    enabled: Admin, scheduler: Scheduler, stack: LocalStack, new_id: str
) -> None:
    stack.microsoft365.faults.add("sendMail", "timeout but accepted")
    scheduler.queue(new_id, to=["cfo@contoso.com"], subject=new_id, body=BODY)
    enabled.delivery(new_id, "unknown")
    assert len(sent(stack, new_id)) == 1

    retried = enabled.call("POST", f"deliveries/{new_id}/retry")

    assert retried.status_code == 202
    enabled.delivery(new_id, "accepted")
    assert len(sent(stack, new_id)) == 2


def test_a_test_mail_arrives(enabled: Admin, stack: LocalStack) -> None:
    queued = enabled.call("POST", "tenant-settings/smtp/test-mail").json()

    enabled.delivery(queued["messageId"], "accepted")

    (mail,) = mails_of(stack.microsoft365.mails(), queued["messageId"])
    assert mail.recipients == [ADA]


def test_no_mailbox_has_more_than_four_requests_at_once(
    enabled: Admin, scheduler: Scheduler, stack: LocalStack, new_id: str
) -> None:
    log = stack.microsoft365.requests
    log.clear()
    stack.microsoft365.behaviour.latency = 0.3
    try:
        for number in range(16):
            scheduler.queue(f"{new_id}:{number}", to=["cfo@contoso.com"], subject=new_id, body=BODY)
        for number in range(16):
            enabled.delivery(f"{new_id}:{number}", "accepted")
    finally:
        stack.microsoft365.behaviour.latency = 0.0

    assert log.peak(ADA) == 4
    assert [request.status for request in requests_of(stack, new_id)] == [202] * 16


def test_a_small_mail_costs_one_graph_call_and_none_to_entra_or_key_vault(
    enabled: Admin, scheduler: Scheduler, stack: LocalStack, new_id: str
) -> None:
    scheduler.queue(f"{new_id}:warm", to=["cfo@contoso.com"], subject=new_id, body=BODY)
    enabled.delivery(f"{new_id}:warm", "accepted")
    stack.microsoft365.requests.clear()
    vault_before = len(stack.key_vault.requests)
    for number in range(5):
        scheduler.queue(f"{new_id}:{number}", to=["cfo@contoso.com"], subject=new_id, body=BODY)
        enabled.delivery(f"{new_id}:{number}", "accepted")

    assert [request.operation for request in requests_of(stack, new_id)] == ["sendMail"] * 5
    assert not stack.microsoft365.requests.all(host="entra")
    assert len(stack.key_vault.requests) == vault_before


def test_a_poisoned_mail_is_on_record_and_can_be_replayed(
    enabled: Admin, stack: LocalStack, new_id: str
) -> None:
    mail = {
        "schemaVersion": 1,
        "messageId": new_id,
        "tenantId": CONTOSO,
        "to": ["cfo@contoso.com"],
        "subject": new_id,
        "body": BODY,
    }
    text = base64.b64encode(json.dumps(mail).encode()).decode()
    with QueueClient.from_connection_string(
        stack.azurite.connection_string, MAIL_OUTBOX_POISON, api_version=API_VERSION
    ) as queue:
        queue.send_message(text)

    waiting = enabled.delivery(new_id, "waiting_for_operator")
    assert (waiting["problem"]["code"], waiting["problem"]["whoActs"]) == ("mail_poisoned", "operator")
    enabled.call("POST", f"deliveries/{new_id}/retry")
    enabled.delivery(new_id, "accepted")

    assert len(sent(stack, new_id)) == 1
