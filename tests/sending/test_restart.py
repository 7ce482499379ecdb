"""A failed mail that its sender has corrected and queued again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.deliveries.requeue import requeue_message
from shared.deliveries.status import DeliveryStatus
from shared.errors import OutcomeUnknownError, RefusedRecipientError, RejectedError
from shared.problems import catalogue
from shared.sending.deliver import deliver
from shared.sending.poison import record_poisoned
from shared.sending.restart import CORRECTABLE
from tests.builders import a_file, a_message, enabled_services
from tests.fakes import CONTOSO, NOON

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from tests.fakes import FakeServices

WITH_FILE = a_message(messageId="m-1", attachments=[a_file("a.pdf")])
CORRECTED = a_message(messageId="m-1", subject="Corrected")
PATH = f"{CONTOSO}/a.pdf"
ACCEPTED, DEFERRED, REJECTED = DeliveryStatus.ACCEPTED, DeliveryStatus.DEFERRED, DeliveryStatus.REJECTED


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


def row(services: FakeServices) -> Delivery:
    return services.deliveries.rows[CONTOSO, "m-1"]


def problem_detail(services: FakeServices) -> str:
    problem = row(services).problem
    assert problem
    return problem.problem.detail


def run_queue(services: FakeServices, until: timedelta) -> None:
    """Deliver queued messages by due time until the time has passed."""
    end = services.system.now() + until
    while services.outbox.messages:
        text, delay = services.outbox.messages.pop(0)
        if services.system.now() + delay > end:
            return
        services.system.pass_time(delay)
        deliver(text, "q-later", services)


def rejected(services: FakeServices) -> None:
    """Deliver the mail until it is rejected because its file is missing."""
    deliver(WITH_FILE, "q-1", services)
    run_queue(services, timedelta(minutes=11))
    assert row(services).status is REJECTED


def test_a_file_that_arrives_after_its_message_is_awaited(services: FakeServices) -> None:
    deliver(WITH_FILE, "q-1", services)
    assert (row(services).status, row(services).problem.code) == (DEFERRED, "attachment_not_found")  # type: ignore[union-attr]

    services.files.blobs[PATH] = b"%PDF"
    run_queue(services, timedelta(minutes=1))

    assert row(services).status is ACCEPTED


def test_a_file_that_never_arrives_ends_the_mail_after_ten_minutes(services: FakeServices) -> None:
    rejected(services)

    assert services.system.now() == NOON + timedelta(minutes=10)
    assert "put the file there and queue the mail again under the same messageId" in problem_detail(services)


def test_an_archived_file_ends_the_mail_at_once(services: FakeServices) -> None:
    services.transport.fail = [RejectedError("attachment_archived", blob=PATH)]
    deliver(CORRECTED, "q-1", services)

    assert row(services).status is REJECTED


@pytest.mark.parametrize("mail", [WITH_FILE, CORRECTED], ids=["the same", "corrected"])
def test_a_refused_mail_that_is_queued_again_is_sent(services: FakeServices, mail: bytes) -> None:
    rejected(services)
    services.files.blobs[PATH] = b"%PDF"
    deliver(mail, "q-2", services)

    assert row(services).status is ACCEPTED
    assert len(services.transport.sent) == 1
    assert [step.status for step in row(services).history].count(REJECTED) == 1


def test_a_mail_that_starts_again_has_its_time_again(services: FakeServices) -> None:
    rejected(services)
    deliver(WITH_FILE, "q-2", services)

    assert row(services).status is DEFERRED
    assert row(services).trying_since == services.system.now()


def test_a_late_requeue_message_does_not_restart_a_mail(services: FakeServices) -> None:
    rejected(services)
    services.files.blobs[PATH] = b"%PDF"
    deliver(requeue_message(CONTOSO, "m-1"), "q-2", services)

    assert row(services).status is REJECTED


def test_a_mail_past_its_expiry_is_queued_again_with_a_later_one(services: FakeServices) -> None:
    deliver(a_message(messageId="m-1", expiresAt=NOON.isoformat()), "q-1", services)
    assert row(services).status is DeliveryStatus.EXPIRED

    later = (NOON + timedelta(hours=1)).isoformat()
    deliver(a_message(messageId="m-1", expiresAt=later), "q-2", services)

    assert row(services).status is ACCEPTED


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknownError("outcome_unknown"),
        RejectedError("mailbox_full", address="a"),
        RejectedError("mail_rejected", graph_code="ErrorX"),
    ],
    ids=lambda error: error.code,
)
def test_a_mail_that_a_scheduler_cannot_correct_is_sent_at_most_once(
    services: FakeServices, error: OutcomeUnknownError | RejectedError
) -> None:
    services.transport.fail = [error]
    deliver(CORRECTED, "q-1", services)
    before = row(services).status
    deliver(CORRECTED, "q-2", services)

    assert row(services).status is before
    assert len(services.transport.sent) <= 1


def test_a_corrected_mail_that_is_poisoned_is_stored(services: FakeServices) -> None:
    rejected(services)
    record_poisoned(CORRECTED, "q-2", services)

    assert row(services).status is DeliveryStatus.WAITING_FOR_OPERATOR
    assert services.requests.kept[CONTOSO, "m-1"] == CORRECTED


def test_every_reason_that_can_be_corrected_is_a_code_of_the_app() -> None:
    assert catalogue().keys() >= CORRECTABLE


# A second mistake


def wrong(**changes: object) -> bytes:
    return a_message(messageId="m-1", **changes)


def test_the_latest_mistake_under_an_id_is_on_record(services: FakeServices) -> None:
    deliver(wrong(subject=None), "q-1", services)
    services.system.pass_time(timedelta(minutes=5))
    deliver(wrong(importance="urgent"), "q-2", services)

    assert [field.field for field in row(services).fields] == ["importance"]
    assert row(services).updated_at == services.system.now()
    assert row(services).queued_at == NOON
    assert len(row(services).history) == 2


def test_the_same_mistake_again_changes_nothing(services: FakeServices) -> None:
    deliver(wrong(subject=None), "q-1", services)
    before = row(services)
    services.system.pass_time(timedelta(minutes=5))
    deliver(wrong(subject=None), "q-1", services)

    assert row(services) == before


def test_an_invalid_message_under_the_id_of_a_sent_mail_is_shown_there(services: FakeServices) -> None:
    deliver(CORRECTED, "q-1", services)
    deliver(wrong(subject=None), "q-2", services)

    assert row(services).status is ACCEPTED
    assert row(services).conflict_at == NOON
    assert len(row(services).history[-1].contents) == 2


@pytest.mark.parametrize("method", ["find", "save"])
def test_a_second_error_that_cannot_be_recorded_is_requeued(services: FakeServices, method: str) -> None:
    deliver(wrong(subject=None), "q-1", services)
    setattr(services.deliveries, method, lambda *_: None)
    deliver(wrong(importance="urgent"), "q-2", services)

    assert [text for text, _ in services.outbox.messages] == [wrong(importance="urgent")]


# The address


@pytest.mark.parametrize(
    ("to", "mentioned", "wanted"),
    [
        (["nobody@contoso.com"], (), "The address is nobody@contoso.com."),
        (
            ["cfo@contoso.com", "Nobody@contoso.com"],
            ("nobody@contoso.com", "stranger@fabrikam.com"),
            "The address is Nobody@contoso.com.",
        ),
        (
            ["cfo@contoso.com", "a@fabrikam.com"],
            ("stranger@fabrikam.com",),
            "which address it is; the domains are contoso.com, fabrikam.com.",
        ),
    ],
)
def test_a_refused_recipient_is_named(
    services: FakeServices, to: list[str], mentioned: tuple[str, ...], wanted: str
) -> None:
    refused = RefusedRecipientError("recipients_refused", graph_code="ErrorInvalidRecipients")
    refused.mentioned = mentioned
    services.transport.fail = [refused]
    deliver(a_message(messageId="m-1", to=to), "q-1", services)

    assert wanted in problem_detail(services)
    assert "stranger" not in problem_detail(services)


def test_of_many_domains_some_are_named(services: FakeServices) -> None:
    services.transport.fail = [
        RefusedRecipientError("recipients_refused", graph_code="ErrorInvalidRecipients")
    ]
    deliver(a_message(messageId="m-1", to=[f"a@d{n:02}.com" for n in range(12)]), "q-1", services)

    assert "d09.com and others." in problem_detail(services)


def test_content_refused_first_and_sent_later_is_no_longer_a_conflict(services: FakeServices) -> None:
    deliver(WITH_FILE, "q-1", services)
    deliver(CORRECTED, "q-2", services)
    assert row(services).conflict_at == NOON
    run_queue(services, timedelta(minutes=11))

    deliver(CORRECTED, "q-3", services)

    assert (row(services).status, row(services).conflict_at) == (ACCEPTED, None)


def test_a_conflict_remains_if_the_recorded_content_is_sent(services: FakeServices) -> None:
    deliver(WITH_FILE, "q-1", services)
    deliver(CORRECTED, "q-2", services)
    services.files.blobs[PATH] = b"%PDF"

    run_queue(services, timedelta(minutes=11))

    assert (row(services).status, row(services).conflict_at) == (ACCEPTED, NOON)
