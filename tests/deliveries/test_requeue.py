"""Which of several queue messages of a mail is for its next attempt."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from shared.deliveries.release import release_waiting
from shared.deliveries.requeue import (
    is_superseded,
    message_due_at,
    next_attempt_message,
    parse_requeue_message,
    requeue_message,
)
from shared.deliveries.status import DeliveryStatus
from shared.errors import InvalidInputError, TransientError
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.sending.poison import record_poisoned
from shared.settings.sending_switch import SendingPause
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO, NOON, FakeServices, MemoryOutbox

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery

MAIL = a_message(messageId="m-1", expiresAt="2026-11-23T13:00:00Z")
UNAVAILABLE = TransientError("graph_unavailable")


class Killed(BaseException):
    """The worker process ends."""


@pytest.fixture
def services() -> FakeServices:
    """A mail that failed once: its next message is in the queue."""
    found = enabled_services()
    found.transport.fail = [UNAVAILABLE, UNAVAILABLE]
    found.system.chance = 1.0
    deliver(MAIL, "q-1", found)
    return found


def row(services: FakeServices) -> Delivery:
    return services.deliveries.rows[CONTOSO, "m-1"]


def next_due(services: FakeServices) -> bytes:
    """Let time pass until the message is due, and dequeue it."""
    ((message, delay),) = services.outbox.messages
    services.outbox.messages.clear()
    services.system.pass_time(delay)
    return message


def fail_again(services: FakeServices) -> bytes:
    """Let the next attempt fail, and return the message that it was for."""
    message = next_due(services)
    deliver(message, "q-2", services)
    return message


def test_a_message_for_an_earlier_attempt_is_dropped(services: FakeServices) -> None:
    earlier = fail_again(services)
    before, waiting = row(services), list(services.outbox.messages)
    services.system.pass_time(timedelta(minutes=1))
    deliver(earlier, "q-copy", services)

    assert services.outbox.messages == waiting
    assert row(services) == before


def test_a_finished_mail_is_not_reopened_by_an_early_message(services: FakeServices) -> None:
    ((message, _),) = services.outbox.messages
    deliver(message, "q-copy", services)
    (_, (early, _)) = services.outbox.messages
    services.system.pass_time(timedelta(hours=2))
    deliver(message, "q-2", services)
    assert row(services).status is DeliveryStatus.EXPIRED

    deliver(early, "q-3", services)

    assert row(services).status is DeliveryStatus.EXPIRED


def test_a_worker_crash_before_the_next_message_is_queued_is_recovered(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = next_due(services)
    with monkeypatch.context() as dying:
        dying.setattr(MemoryOutbox, "put", _killed)
        with pytest.raises(Killed):
            deliver(message, "q-2", services)
    deliver(message, "q-2", services)

    assert [queued for queued, _ in services.outbox.messages] == [next_attempt_message(row(services))]


def test_a_message_whose_worker_crashed_during_hand_over_is_not_dropped(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = next_due(services)
    with monkeypatch.context() as dying:
        dying.setattr(services.transport, "send_mail", _killed)
        with pytest.raises(Killed):
            deliver(message, "q-2", services)
    assert row(services).status is DeliveryStatus.SENDING
    deliver(message, "q-2", services)

    assert row(services).status is DeliveryStatus.UNKNOWN


def test_a_worker_crash_before_a_paused_message_is_queued_is_recovered(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.pause_store.pause = SendingPause(NOON)
    services.system.pass_time(timedelta(minutes=1))
    message = next_due(services)
    with monkeypatch.context() as dying:
        dying.setattr(MemoryOutbox, "put", _killed)
        with pytest.raises(Killed):
            deliver(message, "q-2", services)
    deliver(message, "q-2", services)

    assert [queued for queued, _ in services.outbox.messages] == [next_attempt_message(row(services))]


def _killed(*_: object) -> None:
    raise Killed


def test_a_second_message_of_the_timer_does_not_invalidate_the_late_first(
    services: FakeServices,
) -> None:
    ((late, _),) = services.outbox.messages
    services.system.pass_time(timedelta(minutes=20))
    release_all(services)
    deliver(late, "q-2", services)
    assert row(services).attempt == 2
    (_, (second, _), _) = services.outbox.messages

    services.system.pass_time(timedelta(minutes=20))
    before = row(services)
    deliver(second, "q-3", services)

    assert row(services) == before


def test_a_message_for_an_earlier_attempt_is_dropped_in_a_pause_too(services: FakeServices) -> None:
    earlier = fail_again(services)
    services.pause_store.pause = SendingPause(NOON)
    services.system.pass_time(timedelta(minutes=1))
    before, waiting = row(services), list(services.outbox.messages)
    deliver(earlier, "q-copy", services)

    assert (row(services), services.outbox.messages) == (before, waiting)


def test_a_poisoned_message_for_an_earlier_attempt_stops_no_mail(services: FakeServices) -> None:
    earlier = fail_again(services)
    record_poisoned(earlier, "p-1", services)

    assert row(services).status is DeliveryStatus.DEFERRED


def test_a_lost_request_ends_no_mail_for_a_message_for_an_earlier_attempt(services: FakeServices) -> None:
    earlier = fail_again(services)
    services.requests.kept.clear()
    deliver(earlier, "q-copy", services)

    assert row(services).status is DeliveryStatus.DEFERRED


def test_what_another_version_wrote_supersedes_nothing(services: FakeServices) -> None:
    now = row(services)
    theirs = replace(now, status=DeliveryStatus.OTHER_VERSION, requeued_for=None)
    assert not is_superseded(now, None, "q-2")
    assert not is_superseded(theirs, now.requeued_for, "q-2")
    assert is_superseded(now, "another", "q-2")


def test_a_requeue_message_that_names_no_mail_is_an_invalid_message() -> None:
    with pytest.raises(InvalidInputError, match="invalid_message"):
        parse_requeue_message(b'{"resume":{}}')


def test_a_requeue_message_of_an_older_version_names_no_attempt() -> None:
    message = requeue_message(CONTOSO, "m-1")
    assert b"requeued" not in message
    found = parse_requeue_message(message)
    assert found is not None
    assert found.requeued_for is None


def test_a_mail_that_changes_while_it_is_released_is_not_queued(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = row(services).transition(DeliveryStatus.WAITING_FOR_CONSENT, NOON)
    services.deliveries.save(waiting)
    queued = len(services.outbox.messages)
    monkeypatch.setattr(services.deliveries, "save", lambda _: None)
    release_waiting(CONTOSO, DeliveryStatus.WAITING_FOR_CONSENT, services)

    assert len(services.outbox.messages) == queued


@pytest.mark.parametrize(
    ("message", "due"),
    [
        (requeue_message(CONTOSO, "m-1", NOON.isoformat()), NOON),
        (requeue_message(CONTOSO, "m-1", "soon"), None),
        (requeue_message(CONTOSO, "m-1"), None),
        (b'{"resume":{}}', None),
        (MAIL, None),
    ],
)
def test_a_requeue_message_contains_the_due_time_of_its_attempt(message: bytes, due: datetime | None) -> None:
    assert message_due_at(base64.b64encode(message).decode()) == due


def test_a_message_that_is_no_base64_has_no_time() -> None:
    assert message_due_at("{") is None
