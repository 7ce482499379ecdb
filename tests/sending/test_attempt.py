"""Mailboxes without room for the mail key, and missing images."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.deliveries.status import DeliveryStatus
from shared.errors import OutcomeUnknownError, RejectedError, TransientError
from shared.mail.payload import KEY_PROPERTY
from shared.sending.deliver import deliver
from tests.builders import a_file, a_message, enabled_services, large_file_services
from tests.fakes import CONTOSO, FakeServices, MemoryDeliveries

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery

SMALL = a_message(messageId="m-1")
LARGE = a_message(messageId="m-1", attachments=[a_file("large")])
BLOCKED = RejectedError("sender_blocked", graph_code="ErrorMessageBlocked", address="ada@contoso.com")
FULL = RejectedError("mailbox_full", graph_code="ErrorQuotaExceeded", address="ada@contoso.com")


@pytest.fixture
def services() -> FakeServices:
    services = large_file_services(large=os.urandom(4_000_000))
    services.transport.room_for_key = False
    return services


def row(services: FakeServices) -> Delivery:
    found = services.deliveries.find(CONTOSO, "m-1")
    assert found is not None
    return found


def messages(services: FakeServices) -> list[dict[str, Any]]:
    return [mail.message for mail in services.transport.mails.values()]


def redeliver(services: FakeServices) -> None:
    message, delay = services.outbox.messages.pop()
    services.system.pass_time(delay)
    deliver(message, "q-again", services)


@pytest.mark.parametrize("mail", [SMALL, LARGE])
def test_a_mailbox_without_room_for_the_key_sends_the_mail_without_it(
    services: FakeServices, mail: bytes
) -> None:
    deliver(mail, "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert row(services).problem is None
    assert row(services).without_key
    assert [KEY_PROPERTY in json.dumps(message) for message in messages(services)] == [False]


def test_a_mail_that_carries_its_key_is_marked_with_nothing(services: FakeServices) -> None:
    services.transport.room_for_key = True
    deliver(SMALL, "q-1", services)

    assert not row(services).without_key


@pytest.mark.parametrize("mail", [SMALL, LARGE])
def test_a_mailbox_that_refuses_the_mail_without_the_key_too_is_full(
    services: FakeServices, mail: bytes
) -> None:
    step = "create_draft" if mail is LARGE else "send_mail"
    services.transport.fail_at = {step: [FULL, FULL]}
    deliver(mail, "q-1", services)

    problem = row(services).problem
    assert problem
    assert (row(services).status, problem.code) == (DeliveryStatus.REJECTED, "mailbox_full")
    assert "headers" not in problem.problem.detail
    assert services.transport.calls.count(step) == 2


def test_a_mail_with_headers_of_its_own_may_lack_room_for_their_names(services: FakeServices) -> None:
    services.transport.fail_at = {"send_mail": [FULL, FULL]}
    deliver(a_message(messageId="m-1", headers={"x-report": "sales"}), "q-1", services)

    problem = row(services).problem
    assert problem
    assert "no room for new header names" in problem.problem.detail


def test_another_refusal_is_not_repeated_without_the_key(services: FakeServices) -> None:
    services.transport.fail_at = {"send_mail": [BLOCKED]}
    deliver(SMALL, "q-1", services)

    assert services.transport.calls.count("send_mail") == 1


def test_another_refusal_without_the_key_is_reported_unchanged(services: FakeServices) -> None:
    services.transport.fail_at = {"send_mail": [None, BLOCKED]}
    deliver(SMALL, "q-1", services)

    problem = row(services).problem
    assert problem
    assert problem.code == "sender_blocked"


@pytest.mark.parametrize(("mail", "step"), [(SMALL, "send_mail"), (LARGE, "send_draft")])
def test_a_mail_without_key_is_unknown_and_not_resent_without_response(
    services: FakeServices, mail: bytes, step: str
) -> None:
    lost = OutcomeUnknownError("outcome_unknown")
    services.transport.after = {step: [lost]}
    deliver(mail, "q-1", services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert not services.outbox.messages
    assert len(services.transport.mails) == 1


@pytest.mark.parametrize(("mail", "step"), [(SMALL, "send_mail"), (LARGE, "send_draft")])
def test_a_worker_crash_with_a_mail_without_key_leaves_an_unknown_outcome(
    services: FakeServices, mail: bytes, step: str
) -> None:
    class Killed(BaseException):
        pass

    services.transport.after = {step: [Killed()]}  # type: ignore[list-item]
    with pytest.raises(Killed):
        deliver(mail, "q-1", services)
    services.system.pass_time(timedelta(minutes=12))
    deliver(mail, "q-1", services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert len(services.transport.mails) == 1


def test_the_next_attempt_does_not_try_the_key_again(services: FakeServices) -> None:
    services.transport.fail_at = {"send_mail": [None, TransientError("graph_unavailable")]}
    deliver(SMALL, "q-1", services)
    assert row(services).status is DeliveryStatus.DEFERRED
    redeliver(services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert services.transport.calls.count("send_mail") == 3


def test_nothing_is_sent_without_key_by_a_worker_that_lost_its_claim(services: FakeServices) -> None:
    class ClaimedDeliveries(MemoryDeliveries):
        def save(self, delivery: Delivery) -> Delivery | None:
            return None if delivery.without_key else super().save(delivery)

    services.deliveries = ClaimedDeliveries()
    deliver(SMALL, "q-1", services)

    assert not services.transport.mails


def test_a_draft_without_key_is_removed_when_its_mail_is_refused(services: FakeServices) -> None:
    services.transport.fail_at = {"open_upload": [BLOCKED]}
    deliver(LARGE, "q-1", services)

    assert row(services).status is DeliveryStatus.REJECTED
    assert not services.transport.mails


def test_a_draft_without_key_is_removed_when_its_file_was_replaced(services: FakeServices) -> None:
    services.transport.fail_at = {"open_upload": [TransientError("graph_unavailable")]}
    deliver(LARGE, "q-1", services)
    services.files.blobs[f"{CONTOSO}/large"] = os.urandom(4_500_000)
    redeliver(services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert not services.transport.drafts


def test_a_draft_without_key_continues_where_it_stopped(services: FakeServices) -> None:
    services.transport.fail_at = {"open_upload": [TransientError("graph_unavailable")]}
    deliver(LARGE, "q-1", services)
    redeliver(services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert services.transport.calls.count("create_draft") == 2


def test_without_the_permission_to_search_the_mail_is_sent_too() -> None:
    services = enabled_services()
    services.transport.room_for_key = False
    deliver(SMALL, "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_corrected_message_tries_the_key(services: FakeServices) -> None:
    deliver(a_message(messageId="m-1", subject=None), "q-1", services)
    services.transport.room_for_key = True
    deliver(SMALL, "q-2", services)

    assert not row(services).without_key
    assert row(services).status is DeliveryStatus.ACCEPTED


PICTURE = {"contentType": "html", "content": '<img src="cid:chart1">'}


def warnings(services: FakeServices) -> list[str]:
    return [warning.code for warning in row(services).warnings]


def test_a_mail_with_a_picture_missing_is_sent_with_a_warning(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(a_message(messageId="m-1", body=PICTURE), "q-1", services)

    assert (row(services).status, warnings(services)) == (DeliveryStatus.ACCEPTED, ["content_id_missing"])
    logged = [line for line in caplog.messages if line.startswith("mail_warning {")]
    assert len(logged) == 1
    assert '"problem": "content_id_missing"' in logged[0]
    assert "chart1" not in logged[0]


def test_the_text_may_be_in_a_blob(services: FakeServices) -> None:
    services.files.blobs[f"{CONTOSO}/body.html"] = PICTURE["content"].encode()
    body = {"contentType": "html", "blob": f"{CONTOSO}/body.html"}
    deliver(a_message(messageId="m-1", body=body), "q-1", services)

    assert warnings(services) == ["content_id_missing"]


@pytest.mark.parametrize(
    "changes",
    [
        {"body": {"contentType": "text", "content": PICTURE["content"]}},
        {"body": {"contentType": "html", "content": "cid:chart1"}},
        {"body": PICTURE, "attachments": [a_file("large", contentId="chart1", inline=True)]},
        {"body": PICTURE, "attachments": [a_file("large", contentId="chart1")]},
    ],
)
def test_a_mail_that_has_its_pictures_has_no_warning(services: FakeServices, changes: dict[str, Any]) -> None:
    deliver(a_message(messageId="m-1", **changes), "q-1", services)

    assert (row(services).status, warnings(services)) == (DeliveryStatus.ACCEPTED, [])


def test_a_mail_whose_corrected_text_needs_no_picture_has_no_warning(services: FakeServices) -> None:
    services.transport.fail = [RejectedError("attachment_archived", blob="report.pdf")]
    deliver(a_message(messageId="m-1", body=PICTURE), "q-1", services)
    assert (row(services).status, warnings(services)) == (DeliveryStatus.REJECTED, ["content_id_missing"])

    deliver(a_message(messageId="m-1", body={"contentType": "text", "content": "Up 4 %"}), "q-2", services)

    assert (row(services).status, warnings(services)) == (DeliveryStatus.ACCEPTED, [])


def test_a_warning_is_logged_once_and_stays_through_all_attempts(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(a_message(messageId="m-1", body=PICTURE), "q-1", services)
    assert warnings(services) == ["content_id_missing"]
    redeliver(services)

    assert (row(services).status, warnings(services)) == (DeliveryStatus.ACCEPTED, ["content_id_missing"])
    assert sum(line.startswith("mail_warning {") for line in caplog.messages) == 1
