"""Poison messages are recorded, stored and retried."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.deliveries.delivery import CLAIM_DURATION, Delivery
from shared.deliveries.requeue import requeue_message
from shared.deliveries.status import DeliveryStatus
from shared.deliveries.uncertain_send import UncertainSend
from shared.errors import ConflictError, OutcomeUnknownError, TransientError
from shared.mail.message import parse_mail_request
from shared.sending.attempt import first_row
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.sending.poison import record_poisoned
from shared.sending.unrecorded import repeated_message
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO, NOON, FakeServices

MAIL = a_message(messageId="m-1")


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


def row(services: FakeServices) -> Delivery:
    return services.deliveries.rows[CONTOSO, "m-1"]


def claimed(services: FakeServices) -> None:
    services.deliveries.add(first_row(parse_mail_request(MAIL), NOON).with_claim("q-1", NOON))


def test_a_poisoned_mail_is_recorded_alerted_and_kept(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        record_poisoned(MAIL, "p-1", services)

    assert row(services).status is DeliveryStatus.WAITING_FOR_OPERATOR
    assert row(services).problem.code == "mail_poisoned"  # type: ignore[union-attr]
    assert row(services).uncertain_send is None
    assert services.requests.load(CONTOSO, "m-1") == MAIL
    assert "mail_poisoned {" in caplog.text


def test_it_is_sent_automatically_once_it_can(services: FakeServices) -> None:
    record_poisoned(MAIL, "p-1", services)
    release_all(services)
    deliver(services.outbox.messages[0][0], "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_poisoned_mail_that_was_claimed_may_have_been_sent(services: FakeServices) -> None:
    claimed(services)
    services.system.pass_time(CLAIM_DURATION)
    record_poisoned(MAIL, "p-1", services)
    assert row(services).uncertain_send == UncertainSend(NOON + CLAIM_DURATION, worker_began_at=NOON)

    release_all(services)
    deliver(services.outbox.messages[0][0], "q-2", services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert not services.transport.sent


def test_an_older_uncertain_send_is_kept(services: FakeServices) -> None:
    claimed(services)
    held = row(services)
    services.deliveries.save(replace(held, uncertain_send=UncertainSend(NOON, 1)))
    services.system.pass_time(CLAIM_DURATION)
    record_poisoned(MAIL, "p-1", services)

    assert row(services).uncertain_send == UncertainSend(NOON, 1)


@pytest.mark.parametrize(
    ("is_uncertain", "end"), [(True, DeliveryStatus.UNKNOWN), (False, DeliveryStatus.EXPIRED)]
)
def test_a_mail_that_is_poisoned_repeatedly_ends_after_a_day(
    services: FakeServices,
    is_uncertain: bool,  # noqa: FBT001
    end: DeliveryStatus,
) -> None:
    record_poisoned(MAIL, "p-1", services)
    release_all(services)
    if is_uncertain:
        services.deliveries.save(replace(row(services), uncertain_send=UncertainSend(NOON)))
    for _ in range(30):
        services.system.pass_time(timedelta(minutes=50))
        record_poisoned(requeue_message(CONTOSO, "m-1"), "p-2", services)
        release_all(services)

    assert row(services).status is end


def test_the_day_does_not_count_the_time_for_which_the_app_was_not_running(services: FakeServices) -> None:
    claim = first_row(parse_mail_request(MAIL), NOON).with_claim("q-1", NOON)
    services.deliveries.add(claim.transition(DeliveryStatus.DEFERRED, NOON, next_attempt_at=NOON))
    services.system.pass_time(timedelta(days=3))
    record_poisoned(MAIL, "p-1", services)
    assert row(services).status is DeliveryStatus.WAITING_FOR_OPERATOR

    release_all(services)
    record_poisoned(requeue_message(CONTOSO, "m-1"), "p-2", services)
    assert row(services).status is DeliveryStatus.WAITING_FOR_OPERATOR


@pytest.mark.parametrize("text", [MAIL, requeue_message(CONTOSO, "m-1")])
def test_one_that_is_done_or_waits_already_is_left_as_it_is(services: FakeServices, text: bytes) -> None:
    services.transport.fail = [OutcomeUnknownError("outcome_unknown")]
    deliver(MAIL, "q-1", services)
    before = row(services)
    record_poisoned(text, "p-1", services)

    assert row(services) == before


def test_other_content_with_the_same_id_does_not_replace_the_stored_mail(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    record_poisoned(a_message(messageId="m-1", subject="Another"), "p-1", services)

    assert services.requests.load(CONTOSO, "m-1") == MAIL
    assert row(services).status is DeliveryStatus.DEFERRED


def test_the_length_of_the_poison_queue_is_reported_in_every_timer_run(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    services.outbox.poisoned = 11
    with caplog.at_level(logging.ERROR):
        release_all(services)

    assert 'poison_queue_not_empty {"length": 11}' in caplog.messages


def test_an_empty_poison_queue_is_not_logged(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        release_all(services)

    assert "poison_queue" not in caplog.text


def test_a_poison_queue_that_does_not_respond_delays_no_mail(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    record_poisoned(MAIL, "p-1", services)
    services.outbox.fail.append(TransientError("storage_unavailable", service="queues"))
    with caplog.at_level(logging.WARNING):
        release_all(services)

    assert len(services.outbox.messages) == 1
    assert 'request_failed {"operation": "poison_queue", "problem": "storage_unavailable"}' in caplog.messages


def test_a_message_that_is_none_is_recorded_as_invalid(services: FakeServices) -> None:
    record_poisoned(b"\xff\xfe", "p-1", services)

    assert services.deliveries.rows[CONTOSO, "unreadable-p-1"].status is DeliveryStatus.INVALID


def test_a_requeue_message_whose_mail_is_gone_is_recorded_as_such(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    services.requests.kept.clear()
    record_poisoned(requeue_message(CONTOSO, "m-1"), "p-1", services)

    assert row(services).problem.code == "request_not_kept"  # type: ignore[union-attr]


def test_a_row_that_another_process_changes_meanwhile_is_read_again(services: FakeServices) -> None:
    claimed(services)
    services.system.pass_time(CLAIM_DURATION)
    services.deliveries.save = lambda _: None  # type: ignore[method-assign,assignment]

    record_poisoned(MAIL, "p-1", services)

    assert services.outbox.messages == [(MAIL, timedelta(seconds=15))]


def test_a_corrected_mail_is_stored_although_an_invalid_one_came_first(services: FakeServices) -> None:
    deliver(a_message(messageId="m-1", subject=None), "q-1", services)
    assert row(services).status is DeliveryStatus.INVALID
    record_poisoned(MAIL, "p-1", services)
    assert row(services).status is DeliveryStatus.WAITING_FOR_OPERATOR
    assert not row(services).fields

    release_all(services)
    deliver(services.outbox.messages[0][0], "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_other_content_under_a_used_id_is_a_conflict_here_too(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(MAIL, "q-1", services)
    record_poisoned(a_message(messageId="m-1", subject="Another"), "p-1", services)

    assert [step.code for step in row(services).history][-1] == "message_conflict"
    assert "mail_conflict {" in caplog.text


def test_time_waiting_for_a_person_does_not_count_towards_the_day(services: FakeServices) -> None:
    waiting = first_row(parse_mail_request(MAIL), NOON).transition(DeliveryStatus.WAITING_FOR_OPERATOR, NOON)
    services.deliveries.add(waiting)
    services.requests.save(CONTOSO, "m-1", MAIL)
    services.system.pass_time(timedelta(days=3))
    release_all(services)
    record_poisoned(services.outbox.messages[0][0], "p-1", services)

    assert row(services).status is DeliveryStatus.WAITING_FOR_OPERATOR


def test_a_mail_that_waits_for_a_consent_is_left_unchanged(services: FakeServices) -> None:
    waiting = first_row(parse_mail_request(MAIL), NOON).transition(DeliveryStatus.WAITING_FOR_CONSENT, NOON)
    before = services.deliveries.add(waiting)
    record_poisoned(MAIL, "p-1", services)

    assert row(services) == before


def test_a_mail_that_a_worker_may_be_sending_is_left_to_it(services: FakeServices) -> None:
    claimed(services)
    before = row(services)
    with pytest.raises(ConflictError):
        record_poisoned(MAIL, "p-1", services)

    assert row(services) == before


def test_a_mail_that_waited_for_a_person_gets_a_new_day_at_its_release(services: FakeServices) -> None:
    record_poisoned(MAIL, "p-1", services)
    services.system.pass_time(timedelta(hours=26))
    release_all(services)
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(services.outbox.messages[0][0], "q-2", services)

    assert row(services).status is DeliveryStatus.DEFERRED


def test_a_poisoned_mail_whose_uncertain_claim_was_unused_is_not_uncertain(
    services: FakeServices,
) -> None:
    known = first_row(parse_mail_request(MAIL), NOON)
    with_uncertain_send = replace(
        known, status=DeliveryStatus.UNKNOWN, uncertain_send=UncertainSend(NOON, 1, claim_id="claim-1")
    )
    services.deliveries.add(with_uncertain_send)
    record_poisoned(repeated_message(known, MAIL, frozenset({"claim-1"})), "p-1", services)

    assert (row(services).status, row(services).uncertain_send) == (DeliveryStatus.WAITING_FOR_OPERATOR, None)
