"""Mails while the operator has paused sending."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.deliveries.delivery import MAX_HISTORY, Delivery
from shared.deliveries.requeue import next_attempt_message, requeue_message
from shared.deliveries.status import DeliveryStatus
from shared.deliveries.uncertain_send import UncertainSend
from shared.errors import OutcomeUnknownError, RejectedError, TransientError
from shared.mail.message import parse_mail_request
from shared.sending.attempt import first_row
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.sending.paused import MAX_WAIT, MIN_WAIT, wait_while_paused
from shared.sending.poison import record_poisoned
from shared.settings.sending_switch import MAX_SWITCH_AGE, SendingPause
from tests.builders import a_file, a_message, enabled_services, large_file_services
from tests.fakes import CONTOSO, NOON, FakeServices

MAIL = a_message(messageId="m-1")
NOTE = requeue_message(CONTOSO, "m-1")
HOUR = timedelta(hours=1)


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


def pause(services: FakeServices) -> None:
    """Pause sending, and let every process notice."""
    services.pause_store.save(SendingPause(services.system.now(), "deploying 1.4"))
    services.system.pass_time(MAX_SWITCH_AGE)


def resume(services: FakeServices) -> None:
    services.pause_store.remove()
    services.system.pass_time(MAX_SWITCH_AGE)


def row(services: FakeServices) -> Delivery:
    return services.deliveries.rows[CONTOSO, "m-1"]


def redeliver(services: FakeServices, queue_id: str = "q-n") -> None:
    """Deliver the only message of the queue when it is due."""
    (message,) = services.outbox.messages
    services.outbox.messages.clear()
    services.system.pass_time(message[1])
    deliver(message[0], queue_id, services)


def calls(services: FakeServices) -> list[str]:
    """List every call of Graph and every token that was fetched."""
    return services.transport.calls + services.authorizer.refreshed


def test_a_mail_waits_without_a_token_and_without_a_call_of_graph(services: FakeServices) -> None:
    pause(services)
    deliver(MAIL, "q-1", services)

    assert calls(services) == []
    assert row(services).status is DeliveryStatus.DEFERRED
    assert row(services).problem.code == "sending_paused"  # type: ignore[union-attr]
    assert row(services).problem.problem.title == "Sending is paused"  # type: ignore[union-attr]
    assert services.requests.load(CONTOSO, "m-1") == MAIL
    assert [text for text, _ in services.outbox.messages] == [next_attempt_message(row(services))]


def test_it_is_sent_after_the_pause_as_its_first_attempt(services: FakeServices) -> None:
    pause(services)
    deliver(MAIL, "q-1", services)
    redeliver(services)
    resume(services)
    redeliver(services)

    assert (row(services).status, row(services).attempt) == (DeliveryStatus.ACCEPTED, 1)
    assert len(services.transport.sent) == 1
    assert services.requests.load(CONTOSO, "m-1") is None


def test_the_history_and_the_log_contain_a_pause_once(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    pause(services)
    with caplog.at_level(logging.INFO):
        deliver(MAIL, "q-1", services)
        for _ in range(100):
            redeliver(services)

    assert [step.code for step in row(services).history] == ["sending_paused"]
    assert caplog.text.count("mail_paused {") == 1
    assert row(services).problem.since == NOON + MAX_SWITCH_AGE  # type: ignore[union-attr]
    assert row(services).updated_at == services.system.now()


def test_the_log_contains_a_pause_even_if_the_history_is_full(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    services.transport.fail = [TransientError("graph_unavailable")] * (MAX_HISTORY + 1)
    deliver(MAIL, "q-1", services)
    for _ in range(MAX_HISTORY):
        redeliver(services)
    pause(services)

    with caplog.at_level(logging.INFO):
        redeliver(services)

    assert len(row(services).history) == MAX_HISTORY
    assert caplog.text.count("mail_paused {") == 1


def test_a_mail_already_being_sent_when_sending_is_paused_is_completed() -> None:
    services = large_file_services(large=bytes(10_000_000))
    put = services.transport.put_chunk

    def paused_meanwhile(*chunk: Any) -> int | None:
        pause(services)
        return put(*chunk)

    services.transport.put_chunk = paused_meanwhile  # type: ignore[method-assign,assignment]
    deliver(a_message(messageId="m-1", attachments=[a_file("large")]), "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert services.pause_store.pause is not None


def test_days_of_pause_do_not_count_against_the_24_hours(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")] * 300
    deliver(MAIL, "q-1", services)
    begun = services.system.now()
    while services.system.now() - begun < 20 * HOUR:
        redeliver(services)
    pause(services)
    redeliver(services)
    started = services.system.now()
    while services.system.now() - started < timedelta(days=3):
        redeliver(services)
    resume(services)
    redeliver(services)
    assert row(services).status is DeliveryStatus.DEFERRED

    # Twenty hours were used before the pause, so four are left after it.
    resumed = services.system.now()
    while services.system.now() - resumed < 2.5 * HOUR:
        redeliver(services)
        assert row(services).status is DeliveryStatus.DEFERRED
    while services.outbox.messages:
        redeliver(services)
    assert row(services).status is DeliveryStatus.EXPIRED
    assert services.system.now() - resumed < 5 * HOUR


def test_refusals_before_a_pause_still_count_after_it(services: FakeServices) -> None:
    refused = RejectedError("recipients_refused", graph_code="ErrorInvalidRecipients", confirm_after=3)
    services.transport.fail = [refused] * 3
    deliver(MAIL, "q-1", services)
    redeliver(services)
    pause(services)
    redeliver(services)
    resume(services)
    redeliver(services)

    assert row(services).status is DeliveryStatus.REJECTED


def test_a_mail_whose_own_time_passes_during_the_pause_ends_as_expired(services: FakeServices) -> None:
    mail = a_message(messageId="m-1", expiresAt="2026-11-23T12:10:00Z")
    pause(services)
    deliver(mail, "q-1", services)
    while services.outbox.messages:
        redeliver(services)

    assert row(services).status is DeliveryStatus.EXPIRED
    assert row(services).problem.code == "expired"  # type: ignore[union-attr]
    assert services.system.now() - NOON < timedelta(minutes=11)
    assert services.requests.load(CONTOSO, "m-1") == mail
    assert calls(services) == []


def test_a_mail_with_little_time_left_is_sent_if_the_pause_ends_before(services: FakeServices) -> None:
    pause(services)
    services.system.pass_time(5 * HOUR)
    deliver(a_message(messageId="m-1", expiresAt="2026-11-23T17:02:00Z"), "q-1", services)
    resume(services)
    redeliver(services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_an_uncertain_mail_is_neither_searched_nor_expired_during_a_pause() -> None:
    services = large_file_services()
    services.transport.after = {"send_mail": [OutcomeUnknownError("outcome_unknown")]}
    deliver(a_message(messageId="m-1", expiresAt="2026-11-23T12:01:00Z"), "q-1", services)
    before = calls(services)
    pause(services)
    for _ in range(5):
        redeliver(services)
    assert (row(services).status, calls(services)) == (DeliveryStatus.VERIFYING, before)
    assert row(services).problem.code == "sending_paused"  # type: ignore[union-attr]

    resume(services)
    redeliver(services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert len(services.transport.sent) == 1


def test_a_mail_whose_worker_was_killed_may_have_been_sent(services: FakeServices) -> None:
    request = parse_mail_request(MAIL)
    services.deliveries.add(first_row(request, NOON).with_claim("q-1", NOON))
    pause(services)
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.VERIFYING
    assert row(services).uncertain_send == UncertainSend(NOON + MAX_SWITCH_AGE, worker_began_at=NOON)
    assert row(services).attempt == 1


def test_a_mail_that_another_worker_is_sending_is_left_to_it(services: FakeServices) -> None:
    request = parse_mail_request(MAIL)
    before = services.deliveries.add(first_row(request, NOON).with_claim("q-1", NOON))
    pause(services)
    deliver(MAIL, "q-2", services)

    assert row(services) == before
    assert services.outbox.messages == [(MAIL, timedelta(seconds=30))]


def test_of_two_concurrent_messages_of_a_mail_the_second_is_requeued(services: FakeServices) -> None:
    pause(services)
    find = services.deliveries.find
    services.deliveries.find = lambda *_: None  # type: ignore[method-assign]
    deliver(MAIL, "q-1", services)
    deliver(MAIL, "q-2", services)
    services.deliveries.find = find  # type: ignore[method-assign]

    assert row(services).history[-1].code == "sending_paused"
    assert services.outbox.messages[-1] == (MAIL, timedelta(seconds=30))


def test_during_a_pause_a_finished_mail_is_kept_and_a_conflict_reported(services: FakeServices) -> None:
    deliver(MAIL, "q-1", services)
    pause(services)
    deliver(MAIL, "q-2", services)
    deliver(a_message(messageId="m-1", subject="Something else"), "q-3", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert row(services).history[-1].code == "message_conflict"
    assert not services.outbox.messages


def test_an_invalid_message_is_recorded_at_once(services: FakeServices) -> None:
    pause(services)
    deliver(a_message(messageId="m-1", subject=None), "q-1", services)
    assert row(services).status is DeliveryStatus.INVALID

    deliver(MAIL, "q-2", services)
    assert (row(services).status, row(services).fields) == (DeliveryStatus.DEFERRED, ())


def test_a_mail_that_waited_for_a_consent_has_a_new_day_after_the_pause() -> None:
    services = FakeServices()
    deliver(MAIL, "q-1", services)
    services.system.pass_time(timedelta(days=3))
    pause(services)
    deliver(MAIL, "q-2", services)

    assert row(services).status is DeliveryStatus.DEFERRED
    assert row(services).counted_since(services.system.now()) == services.system.now()


def test_a_switch_that_cannot_be_read_puts_the_message_back(services: FakeServices) -> None:
    services.pause_store.fail = [TransientError("storage_unavailable", service="tables")]
    deliver(MAIL, "q-1", services)

    assert services.outbox.messages == [(MAIL, timedelta(seconds=15))]
    assert calls(services) == []
    assert not services.deliveries.rows


def test_the_timer_releases_nothing_and_tries_no_token_during_a_pause(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    for status in (DeliveryStatus.WAITING_FOR_OPERATOR, DeliveryStatus.DEFERRED):
        waiting = Delivery(CONTOSO, status, status, NOON, NOON, NOON, next_attempt_at=NOON)
        services.deliveries.add(waiting)
    services.drafts.save(CONTOSO, "m-1", b"{}")
    pause(services)
    services.system.pass_time(timedelta(days=1))
    with caplog.at_level(logging.WARNING):
        release_all(services)
    assert not services.outbox.messages
    assert calls(services) == []
    assert '"minutes": 1440' in caplog.text
    assert "sending_paused {" in caplog.text

    resume(services)
    release_all(services)
    assert len(services.outbox.messages) == 2


def test_poisoned_mail_is_recorded_during_a_pause_and_sent_afterwards(
    services: FakeServices,
) -> None:
    pause(services)
    deliver(MAIL, "q-1", services)
    services.outbox.messages.clear()
    services.system.pass_time(timedelta(days=2))
    record_poisoned(NOTE, "p-1", services)
    assert row(services).status is DeliveryStatus.WAITING_FOR_OPERATOR

    resume(services)
    release_all(services)
    redeliver(services)
    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_mail_that_a_worker_claims_again_carries_its_pauses_along(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    for _ in range(2):
        pause(services)
        deliver(NOTE if services.deliveries.rows else MAIL, "q-1", services)
        services.system.pass_time(HOUR)
        resume(services)
        services.outbox.messages.clear()
        deliver(NOTE, "q-2", services)

    assert row(services).paused_for == 2 * (HOUR + MAX_SWITCH_AGE)
    assert services.system.now() - row(services).counted_since(services.system.now()) < HOUR


@given(st.timedeltas(timedelta(0), timedelta(days=30)), st.floats(0, 1))
def test_a_mail_never_waits_more_than_five_minutes_for_its_next_look(
    paused_for: timedelta, jitter: float
) -> None:
    wait = wait_while_paused(SendingPause(NOON - paused_for), None, NOON, jitter)

    assert MIN_WAIT <= wait <= timedelta(minutes=5)
    assert wait <= MAX_WAIT * 1.25


@given(st.timedeltas(timedelta(seconds=10), timedelta(days=30)), st.floats(0, 1))
def test_a_mail_with_a_deadline_is_retried_before_it(left: timedelta, jitter: float) -> None:
    assert wait_while_paused(SendingPause(NOON - HOUR), NOON + left, NOON, jitter) < left
