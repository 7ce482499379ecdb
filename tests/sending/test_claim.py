"""The claim: which worker may send a mail, and the state it leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.deliveries.delivery import CLAIM_DURATION, MAX_HISTORY, MAX_WAIT, Delivery
from shared.deliveries.outcome_report import Outcome
from shared.deliveries.requeue import next_attempt_message, requeue_message
from shared.deliveries.status import FINAL, DeliveryStatus
from shared.deliveries.uncertain_send import UncertainSend
from shared.errors import OutcomeUnknownError, RejectedError, TransientError
from shared.mail.message import parse_mail_request
from shared.sending.attempt import QueuedMail, begin_attempt, first_row
from shared.sending.claim import ClaimState, claim, claim_state_of, evaluate_claim, next_row, skip_message
from shared.sending.conflict import WAIT_FOR_OTHER
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.sending.poison import record_poisoned
from shared.settings.sending_switch import SendingPause
from shared.settings.tenant import ActiveProblem
from shared.system import Moment
from shared.time_limit import limit_invocation
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO, NOON, FakeServices, MemoryDeliveries

if TYPE_CHECKING:
    from datetime import datetime

    from shared.settings.sender import Sender

MAIL = a_message(messageId="m-1")
OTHER = a_message(messageId="m-1", subject="Something else")


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


def row(services: FakeServices) -> Delivery:
    return services.deliveries.rows[CONTOSO, "m-1"]


class UnexpectedError(Exception):
    """An unexpected error."""


HOUR = timedelta(hours=1)
A_TICK = timedelta(microseconds=1)
#: What the clocks of the queue and of a worker may differ.
SKEW = timedelta(seconds=10)


def known(status: DeliveryStatus, **changes: Any) -> Delivery:
    """Build the row of a mail whose fingerprint is `same`."""
    return replace(first_row(parse_mail_request(MAIL), NOON), status=status, fingerprint="same", **changes)


@pytest.mark.parametrize("status", [DeliveryStatus.DEFERRED, DeliveryStatus.VERIFYING])
@pytest.mark.parametrize(
    ("wait", "state"),
    [
        (timedelta(0), ClaimState.FREE),
        (SKEW, ClaimState.FREE),
        (SKEW + A_TICK, ClaimState.EARLY),
        (MAX_WAIT, ClaimState.EARLY),
        (MAX_WAIT + A_TICK, ClaimState.FREE),
    ],
)
def test_a_message_can_be_ten_seconds_early(
    status: DeliveryStatus, wait: timedelta, state: ClaimState
) -> None:
    assert evaluate_claim(known(status, next_attempt_at=NOON + wait), "same", "q-1", NOON) is state


@pytest.mark.parametrize(
    "status",
    [DeliveryStatus.WAITING_FOR_CONSENT, DeliveryStatus.WAITING_FOR_OPERATOR],
)
def test_a_mail_that_waits_for_a_person_can_be_claimed_at_any_time(status: DeliveryStatus) -> None:
    later = NOON + timedelta(hours=1)

    assert evaluate_claim(known(status, next_attempt_at=later), "same", "q-1", NOON) is ClaimState.FREE


@pytest.mark.parametrize("status", sorted(FINAL - {DeliveryStatus.INVALID}))
def test_a_mail_that_came_to_its_end_is_done(status: DeliveryStatus) -> None:
    assert evaluate_claim(known(status), "same", "q-1", NOON) is ClaimState.DONE


def test_a_corrected_mail_can_be_claimed_with_any_content() -> None:
    assert evaluate_claim(known(DeliveryStatus.INVALID), "other", "q-1", NOON) is ClaimState.FREE


@pytest.mark.parametrize(
    "status", sorted(set(DeliveryStatus) - {DeliveryStatus.INVALID, DeliveryStatus.OTHER_VERSION})
)
@pytest.mark.parametrize("next_attempt_at", [None, NOON, NOON + timedelta(hours=1)])
def test_other_content_is_other_content_in_every_state(
    status: DeliveryStatus, next_attempt_at: datetime | None
) -> None:
    row = known(status, next_attempt_at=next_attempt_at)

    assert evaluate_claim(row, "other", "q-1", NOON) is ClaimState.OTHER_CONTENT


@pytest.mark.parametrize(
    ("worker", "passed", "state"),
    [
        ("q-2", timedelta(0), ClaimState.HELD),
        ("q-2", CLAIM_DURATION - A_TICK, ClaimState.HELD),
        ("q-2", CLAIM_DURATION, ClaimState.INTERRUPTED),
        ("q-1", timedelta(0), ClaimState.INTERRUPTED),
    ],
)
def test_a_claim_holds_for_others_until_it_ends(worker: str, passed: timedelta, state: ClaimState) -> None:
    held = known(DeliveryStatus.SENDING).with_claim("q-1", NOON)

    assert evaluate_claim(held, "same", worker, NOON + passed) is state


def test_a_claim_without_a_name_is_free() -> None:
    assert evaluate_claim(known(DeliveryStatus.SENDING), "same", "q-1", NOON) is ClaimState.FREE


@pytest.mark.parametrize("status", sorted(DeliveryStatus))
def test_only_continued_attempts_keep_their_start_time(status: DeliveryStatus) -> None:
    later = NOON + timedelta(hours=1)
    before = known(status, attempt=3, paused_for=timedelta(minutes=5))
    after = next_row(before, parse_mail_request(MAIL), later)

    goes_on = status in {DeliveryStatus.DEFERRED, DeliveryStatus.VERIFYING, DeliveryStatus.SENDING}
    assert after.trying_since == (NOON if goes_on else later)
    assert after.paused_for == (timedelta(minutes=5) if goes_on else timedelta(0))
    assert (after.attempt, after.queued_at, after.updated_at) == (4, NOON, later)


def test_other_content_for_a_deferred_mail_is_recorded_and_does_not_wait(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable", retry_after=timedelta(hours=1))]
    deliver(MAIL, "q-1", services)
    before = list(services.outbox.messages)
    deliver(OTHER, "q-2", services)

    assert (row(services).status, row(services).conflict_at) == (DeliveryStatus.DEFERRED, NOON)
    assert row(services).next_attempt_at == NOON + timedelta(hours=1)
    assert services.outbox.messages == before


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (None, DeliveryStatus.ACCEPTED),
        (TransientError("graph_unavailable"), DeliveryStatus.DEFERRED),
        (RejectedError("mailbox_full", address="a"), DeliveryStatus.REJECTED),
    ],
)
def test_other_content_during_a_send_does_not_block_its_outcome(
    services: FakeServices, outcome: Exception | None, status: DeliveryStatus
) -> None:
    send = services.transport.send_mail

    def meanwhile(token: str, sender: Sender, body: bytes) -> str:
        # This thread has the only turn.
        services.throttle = services.new_throttle()
        deliver(OTHER, "q-2", services)
        if outcome:
            raise outcome
        return send(token, sender, body)

    services.transport.send_mail = meanwhile  # type: ignore[method-assign]
    deliver(MAIL, "q-1", services)

    assert row(services).status is status


def test_other_content_received_during_sending_is_shown_as_a_conflict(services: FakeServices) -> None:
    held = services.deliveries.add(first_row(parse_mail_request(MAIL), NOON).with_claim("q-1", NOON))
    assert held
    deliver(OTHER, "q-2", services)
    assert services.outbox.messages == [(OTHER, timedelta(seconds=30))]
    assert row(services) == held

    services.deliveries.save(held.transition(DeliveryStatus.ACCEPTED, NOON))
    deliver(OTHER, "q-2", services)

    assert row(services).conflict_at == NOON
    assert len(services.outbox.messages) == 1


def test_other_content_for_a_mail_whose_worker_crashed_is_shown_at_once(services: FakeServices) -> None:
    services.deliveries.add(first_row(parse_mail_request(MAIL), NOON).with_claim("q-1", NOON))
    services.system.pass_time(CLAIM_DURATION)
    deliver(OTHER, "q-2", services)

    assert row(services).conflict_at == NOON + CLAIM_DURATION
    assert not services.outbox.messages


def test_a_conflict_that_could_not_be_written_is_tried_again(services: FakeServices) -> None:
    class ClaimedDeliveries(MemoryDeliveries):
        def save(self, delivery: Delivery) -> Delivery | None:
            return None

    deliver(MAIL, "q-1", services)
    services.deliveries = ClaimedDeliveries(services.deliveries.rows)
    deliver(OTHER, "q-2", services)

    assert services.outbox.messages == [(OTHER, timedelta(seconds=30))]


@pytest.mark.parametrize(
    "status",
    sorted(
        set(DeliveryStatus) - {DeliveryStatus.INVALID, DeliveryStatus.OTHER_VERSION, DeliveryStatus.EXPIRED}
    ),
)
def test_other_content_is_a_conflict_in_every_status_of_the_mail(
    services: FakeServices, status: DeliveryStatus
) -> None:
    known = first_row(parse_mail_request(MAIL), NOON).transition(status, NOON, next_attempt_at=NOON)
    services.deliveries.add(known)
    deliver(OTHER, "q-2", services)

    assert (row(services).status, row(services).conflict_at) == (status, NOON)
    assert row(services).history[-1].code == "message_conflict"
    contents = tuple(parse_mail_request(text).fingerprint() for text in (MAIL, OTHER))
    assert row(services).history[-1].contents == contents
    assert not services.transport.sent


@pytest.mark.parametrize("status", [DeliveryStatus.DEFERRED, DeliveryStatus.REJECTED])
def test_an_earlier_hash_with_the_order_of_headers_is_no_conflict(
    services: FakeServices, status: DeliveryStatus
) -> None:
    mail = a_message(messageId="m-1", headers={"x-b": "1", "x-a": "2"})
    # SHA-256 of the mail's members in the order of the message.
    earlier = "219ba18f5f1392adcb02bcb386189c9d32ece5b336adc57917cc84258652e230"
    first = replace(first_row(parse_mail_request(mail), NOON), fingerprint=earlier)
    services.deliveries.add(first.transition(status, NOON, next_attempt_at=NOON))
    deliver(mail, "q-2", services)

    assert row(services).conflict_at is None


def test_a_mail_that_is_sent_later_keeps_its_conflict(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    deliver(OTHER, "q-2", services)
    services.system.pass_time(timedelta(minutes=1))
    deliver(requeue_message(CONTOSO, "m-1"), "q-3", services)

    assert (row(services).status, row(services).conflict_at) == (DeliveryStatus.ACCEPTED, NOON)


def test_conflicts_do_not_push_the_attempts_out_of_the_history(services: FakeServices) -> None:
    deliver(MAIL, "q-1", services)
    for number in range(MAX_HISTORY + 5):
        services.system.pass_time(timedelta(minutes=1))
        deliver(OTHER, f"c-{number}", services)

    history = row(services).history
    assert [step.code for step in history] == [None, None, "message_conflict"]
    assert row(services).conflict_at == history[-1].at == services.system.now()


def test_a_mail_that_continues_leaves_the_pending_list(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    assert services.deliveries.count(CONTOSO, [DeliveryStatus.DEFERRED]) == 1

    services.system.pass_time(timedelta(minutes=1))
    deliver(requeue_message(CONTOSO, "m-1"), "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert services.deliveries.count(CONTOSO, [DeliveryStatus.DEFERRED]) == 0


def test_an_early_requeue_message_returns_to_the_queue_for_the_rest(services: FakeServices) -> None:
    wait = timedelta(minutes=2)
    services.transport.fail = [TransientError("graph_unavailable", retry_after=wait)]
    deliver(MAIL, "q-1", services)
    (first,) = services.outbox.messages
    services.system.pass_time(timedelta(seconds=30))
    deliver(first[0], "q-copy", services)

    assert services.outbox.messages == [first, (first[0], timedelta(seconds=90))]
    assert services.transport.calls == ["send_mail"]
    assert row(services).attempt == 1


def test_a_requeue_message_that_is_slightly_early_by_our_clock_is_in_time(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable", retry_after=timedelta(minutes=2))]
    deliver(MAIL, "q-1", services)
    services.system.pass_time(timedelta(seconds=115))
    deliver(services.outbox.messages[0][0], "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_crashed_worker_does_not_give_its_mail_another_day(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    services.system.pass_time(timedelta(hours=20))
    held = services.deliveries.save(row(services).with_claim("q-2", services.system.now()))
    assert held
    deliver(requeue_message(CONTOSO, "m-1"), "q-2", services)

    assert row(services).trying_since == NOON


def test_an_uncertain_send_remembers_when_the_worker_began(services: FakeServices) -> None:
    services.deliveries.add(first_row(parse_mail_request(MAIL), NOON).with_claim("q-1", NOON))
    services.system.pass_time(CLAIM_DURATION)
    deliver(MAIL, "q-2", services)

    assert row(services).uncertain_send == UncertainSend(NOON + CLAIM_DURATION, worker_began_at=NOON)


def test_an_uncertain_send_is_not_replaced_by_a_later_crashed_claim(
    services: FakeServices,
) -> None:
    first = replace(first_row(parse_mail_request(MAIL), NOON), uncertain_send=UncertainSend(NOON, 1))
    services.deliveries.add(first.with_claim("q-1", NOON))
    services.system.pass_time(CLAIM_DURATION)
    deliver(MAIL, "q-2", services)

    assert row(services).uncertain_send == UncertainSend(NOON, 1)


def test_an_unexpected_failure_before_sending_makes_no_send_uncertain(
    services: FakeServices,
) -> None:
    services.authorizer.fail = [UnexpectedError()]
    with pytest.raises(UnexpectedError):
        deliver(MAIL, "q-1", services)
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert len(services.transport.sent) == 1


def test_unavailable_storage_after_graph_refused_makes_no_send_uncertain(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    save = services.requests.save
    services.requests.save = _unavailable  # type: ignore[method-assign,assignment]
    deliver(MAIL, "q-1", services)
    services.requests.save = save  # type: ignore[method-assign]
    assert services.outbox.messages == [(MAIL, timedelta(seconds=15))]
    deliver(MAIL, "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_storage_failure_after_a_lost_response_keeps_the_send_uncertain(services: FakeServices) -> None:
    services.transport.after = {"send_mail": [OutcomeUnknownError("outcome_unknown")]}
    save = services.requests.save
    services.requests.save = _unavailable  # type: ignore[method-assign,assignment]
    deliver(MAIL, "q-1", services)
    services.requests.save = save  # type: ignore[method-assign]
    assert services.outbox.messages == [(MAIL, timedelta(seconds=15))]
    assert row(services).uncertain_send == UncertainSend(NOON, 1)

    deliver(MAIL, "q-2", services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert len(services.transport.sent) == 1


def test_an_unexpected_failure_while_sending_makes_the_send_uncertain(
    services: FakeServices,
) -> None:
    services.transport.after = {"send_mail": [UnexpectedError()]}
    with pytest.raises(UnexpectedError):
        deliver(MAIL, "q-1", services)
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert len(services.transport.sent) == 1


def test_a_poisoned_mail_that_failed_before_sending_is_not_uncertain(
    services: FakeServices,
) -> None:
    services.authorizer.fail = [UnexpectedError()]
    with pytest.raises(UnexpectedError):
        deliver(MAIL, "q-1", services)
    record_poisoned(MAIL, "p-1", services)

    assert (row(services).status, row(services).uncertain_send) == (DeliveryStatus.WAITING_FOR_OPERATOR, None)


def test_many_domains_fit_into_a_row(services: FakeServices) -> None:
    everybody = [f"user@{number:03d}.{'d' * 60}.example" for number in range(490)]
    deliver(a_message(messageId="m-1", to=everybody), "q-1", services)

    assert row(services).recipients.to == 490
    assert len(row(services).recipients.domains) == 50


@pytest.mark.parametrize("poisoned", [False, True])
def test_a_stored_mail_this_version_cannot_read_waits_for_the_operator(
    services: FakeServices,
    poisoned: bool,  # noqa: FBT001
) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    newer = a_message(messageId="m-1", priority="later")
    services.requests.save(CONTOSO, "m-1", newer)
    services.system.pass_time(timedelta(minutes=1))
    (record_poisoned if poisoned else deliver)(requeue_message(CONTOSO, "m-1"), "q-2", services)

    assert row(services).status is DeliveryStatus.WAITING_FOR_OPERATOR
    assert row(services).problem == ActiveProblem("request_of_other_version", services.system.now(), {}, None)
    assert [field.field for field in row(services).fields] == ["priority"]
    assert services.requests.load(CONTOSO, "m-1") == newer

    services.requests.save(CONTOSO, "m-1", MAIL)
    release_all(services)
    services.system.pass_time(timedelta(minutes=1))
    deliver(services.outbox.messages[-1][0], "q-3", services)
    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_stored_uncertain_mail_that_cannot_be_read_stays_uncertain(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    services.deliveries.save(replace(row(services), uncertain_send=UncertainSend(NOON, 1)))
    services.requests.save(CONTOSO, "m-1", b"{}")
    deliver(requeue_message(CONTOSO, "m-1"), "q-2", services)

    assert row(services).status is DeliveryStatus.WAITING_FOR_OPERATOR
    assert row(services).uncertain_send == UncertainSend(NOON, 1)


@pytest.mark.parametrize("minutes", [1, 12])
def test_a_mail_that_another_version_may_be_sending_is_left_to_it(
    services: FakeServices, minutes: int
) -> None:
    claimed = first_row(parse_mail_request(MAIL), NOON).with_claim("q-1", NOON)
    services.deliveries.add(claimed)
    services.requests.save(CONTOSO, "m-1", a_message(messageId="m-1", priority="later"))
    services.system.pass_time(timedelta(minutes=minutes))
    deliver(requeue_message(CONTOSO, "m-1"), "q-2", services)

    if minutes == 1:
        assert row(services).claimed_by == "q-1"
        assert services.outbox.messages == [(requeue_message(CONTOSO, "m-1"), CLAIM_DURATION)]
    else:
        assert row(services).status is DeliveryStatus.WAITING_FOR_OPERATOR
        assert row(services).uncertain_send == UncertainSend(services.system.now(), worker_began_at=NOON)


@pytest.mark.parametrize(
    ("code", "uncertain_send", "state"),
    [
        ("request_not_kept", None, ClaimState.FREE),
        ("request_not_kept", UncertainSend(NOON), ClaimState.DONE),
        ("expired", None, ClaimState.DONE),
        (None, None, ClaimState.DONE),
    ],
)
def test_only_a_mail_that_ended_without_its_request_continues_with_it(
    code: str | None, uncertain_send: UncertainSend | None, state: ClaimState
) -> None:
    problem = None if code is None else ActiveProblem(code, NOON)
    for status, expected in (
        (DeliveryStatus.EXPIRED, state),
        (DeliveryStatus.UNKNOWN, ClaimState.DONE),
    ):
        row = known(status, problem=problem, uncertain_send=uncertain_send)
        assert evaluate_claim(row, "same", "q-1", NOON) is expected


def test_a_retried_mail_keeps_the_content_of_its_row() -> None:
    request = parse_mail_request(MAIL)
    before = replace(
        first_row(request, NOON),
        status=DeliveryStatus.DEFERRED,
        requeued_for="next",
        outcome_queue="outcomes",
        warnings=(ActiveProblem("content_id_missing", NOON),),
        without_key=True,
        conflict_at=NOON,
        outcome_count=2,
        unreported_outcomes=(Outcome(2, "outcomes", DeliveryStatus.REJECTED, NOON),),
        uncertain_send=UncertainSend(NOON, claim_id="c-1"),
        paused_since=NOON,
        etag="v1",
        stored_status=DeliveryStatus.DEFERRED,
    )
    kept = (
        "requeued_for",
        "warnings",
        "without_key",
        "outcome_count",
        "unreported_outcomes",
        "etag",
        "stored_status",
        "history",
    )
    again = next_row(before, request, NOON + timedelta(minutes=1))
    other = next_row(before, parse_mail_request(OTHER), NOON, frozenset({"c-1"}))

    for name in (*kept, "outcome_queue", "conflict_at", "uncertain_send"):
        assert getattr(again, name) == getattr(before, name), name
    assert again.paused_for == timedelta(minutes=1)
    assert again.attempt == 2
    for name in kept:
        assert getattr(other, name) == getattr(before, name), name
    assert (other.outcome_queue, other.conflict_at, other.uncertain_send) == (None, None, None)


def test_another_queue_that_the_message_names_takes_the_place_of_the_first() -> None:
    before = replace(first_row(parse_mail_request(MAIL), NOON), outcome_queue="first")
    request = parse_mail_request(a_message(messageId="m-1", outcomeQueue="second"))

    assert next_row(before, request, NOON).outcome_queue == "second"


def test_an_unused_claim_is_free_in_every_state_of_the_row() -> None:
    claimed = replace(
        first_row(parse_mail_request(MAIL), NOON).with_claim("q-1", NOON, "c-1"), fingerprint="same"
    )
    is_uncertain = known(
        DeliveryStatus.VERIFYING,
        uncertain_send=UncertainSend(NOON, claim_id="c-1"),
        next_attempt_at=NOON + HOUR,
    )
    for row in (claimed, is_uncertain):
        assert evaluate_claim(row, "same", "q-2", NOON, frozenset({"c-1"})) is ClaimState.FREE
        assert evaluate_claim(row, "same", "q-2", NOON, frozenset({"c-2"})) is not ClaimState.FREE


def test_a_requeue_message_whose_row_is_gone_or_done_changes_nothing(services: FakeServices) -> None:
    services.requests.save(CONTOSO, "m-1", b"{}")
    deliver(requeue_message(CONTOSO, "m-1"), "q-1", services)
    assert services.deliveries.rows == {}

    done = first_row(parse_mail_request(MAIL), NOON).transition(DeliveryStatus.ACCEPTED, NOON)
    services.deliveries.add(done)
    deliver(requeue_message(CONTOSO, "m-1"), "q-1", services)
    assert row(services).status is DeliveryStatus.ACCEPTED


@pytest.mark.parametrize("kind", ["mail", "note", "note without a request", "poisoned"])
def test_a_mail_whose_row_another_version_wrote_waits_for_that_version(
    services: FakeServices, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = first_row(parse_mail_request(MAIL), NOON)
    services.deliveries.add(replace(foreign, status=DeliveryStatus.OTHER_VERSION))
    before = row(services)
    if kind != "note without a request":
        services.requests.save(CONTOSO, "m-1", MAIL)
    text = requeue_message(CONTOSO, "m-1") if kind.startswith("note") else MAIL
    (record_poisoned if kind == "poisoned" else deliver)(text, "q-1", services)

    assert row(services) == before
    assert not services.transport.sent
    if kind != "note without a request":
        assert services.outbox.messages == [(text, timedelta(minutes=5))]
        name = f'"message_id": "m-1", "problem": "written_by_other_version", "tenant_id": "{CONTOSO}"'
        assert f"operator_error {{{name}}}" in caplog.text


def test_an_early_message_of_a_scheduler_is_requeued_unchanged(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable", retry_after=timedelta(minutes=2))]
    deliver(MAIL, "q-1", services)
    deliver(MAIL, "q-2", services)

    assert services.outbox.messages[-1] == (MAIL, timedelta(minutes=2))


def test_the_log_names_a_mail_whose_message_has_nothing_more_to_do(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(MAIL, "q-1", services)
    with caplog.at_level("INFO"):
        deliver(MAIL, "q-2", services)

    assert f'mail_duplicate_ignored {{"message_id": "m-1", "tenant_id": "{CONTOSO}"}}' in caplog.text


def test_an_invalid_message_does_not_change_a_row_of_another_version(services: FakeServices) -> None:
    foreign = first_row(parse_mail_request(MAIL), NOON)
    services.deliveries.add(replace(foreign, status=DeliveryStatus.OTHER_VERSION))
    before = row(services)
    text = a_message(messageId="m-1", priority=3)
    deliver(text, "q-1", services)

    assert row(services) == before
    assert [message for message, _ in services.outbox.messages] == [text]


def test_an_invalid_message_does_not_change_rows_of_other_installations(services: FakeServices) -> None:
    services.settings.foreign = {CONTOSO}
    text = a_message(messageId="m-1", priority=3)
    deliver(text, "q-1", services)

    assert not services.deliveries.rows
    assert [message for message, _ in services.outbox.messages] == [text]


def test_a_pause_does_not_change_a_row_of_another_version(services: FakeServices) -> None:
    foreign = first_row(parse_mail_request(MAIL), NOON)
    services.deliveries.add(replace(foreign, status=DeliveryStatus.OTHER_VERSION))
    services.pause_store.save(SendingPause(NOON))
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.OTHER_VERSION
    assert services.outbox.messages == [(MAIL, timedelta(minutes=5))]


def test_a_continued_mail_keeps_members_that_another_version_added(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    services.deliveries.save(replace(row(services), additions={"priority": 3}))
    services.system.pass_time(timedelta(minutes=1))
    deliver(requeue_message(CONTOSO, "m-1"), "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert row(services).additions == {"priority": 3}


def _unavailable(*_: Any) -> Any:
    raise TransientError("storage_unavailable", service="blobs")


def test_an_attempt_starts_with_its_trigger_and_knows_its_unused_claims(
    services: FakeServices,
) -> None:
    with limit_invocation(services.system):
        started = Moment.of(services.system)
        services.system.pass_time(timedelta(seconds=10))
        attempt = begin_attempt(a_mail(unused_claims=frozenset({"claim-0"})), "q-1", services)

    assert (attempt.begun, attempt.unused_claims) == (started, frozenset({"claim-0"}))
    assert attempt.delivery.installation == services.installation


def test_a_retried_mail_is_claimed_for_this_message_and_installation(
    services: FakeServices,
) -> None:
    services.deliveries.add(replace(a_row(), status=DeliveryStatus.DEFERRED))
    attempt = begin_attempt(a_mail(), "q-2", services)

    assert claim(attempt, services)
    assert (row(services).claimed_by, row(services).installation) == ("q-2", services.installation)


def test_a_mail_claimed_by_two_workers_at_once_is_checked_later_by_one(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.deliveries.add(replace(a_row(), status=DeliveryStatus.DEFERRED))
    monkeypatch.setattr(services.deliveries, "save", lambda _: None)
    mail = a_mail()

    assert not claim(begin_attempt(mail, "q-2", services), services)
    assert services.outbox.messages == [(mail.message, WAIT_FOR_OTHER)]


def test_a_row_that_was_written_and_cannot_be_found_is_storages_problem(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.deliveries, "add", lambda _: None)

    with pytest.raises(TransientError) as raised:
        claim(begin_attempt(a_mail(), "q-1", services), services)
    assert raised.value.params == {"service": "tables"}


@pytest.mark.parametrize(
    ("requeued_for", "queue_id", "state"),
    [
        ("then", "q-2", ClaimState.FREE),
        ("before", "q-2", ClaimState.SUPERSEDED),
        ("before", "q-1", ClaimState.FREE),
        (None, "q-2", ClaimState.FREE),
    ],
)
def test_a_message_for_an_earlier_attempt_is_superseded_unless_repeated(
    services: FakeServices, requeued_for: str | None, queue_id: str, state: ClaimState
) -> None:
    known = replace(a_row(), status=DeliveryStatus.DEFERRED, requeued_for="then", requeued_by="q-1")
    attempt = begin_attempt(a_mail(requeued_for=requeued_for, maybe_new=False), queue_id, services)

    assert claim_state_of(known, attempt, services) is state


def test_a_repeated_requeue_message_returns_as_that_for_the_next_attempt(
    services: FakeServices,
) -> None:
    known = replace(
        a_row(),
        status=DeliveryStatus.DEFERRED,
        requeued_for="then",
        requeued_by="q-1",
        next_attempt_at=NOON + timedelta(minutes=2),
    )
    skip_message(ClaimState.EARLY, known, a_mail(requeued_for="before"), services)

    assert services.outbox.messages == [(next_attempt_message(known), timedelta(minutes=2))]


def test_the_first_row_has_status_sending_and_the_correlation_id() -> None:
    first = first_row(parse_mail_request(a_message(correlationId="run-7")), NOON)

    assert (first.status, first.correlation_id) == (DeliveryStatus.SENDING, "run-7")


def a_mail(**members: Any) -> QueuedMail:
    return QueuedMail(parse_mail_request(MAIL), MAIL, MAIL, **members)


def a_row() -> Delivery:
    return first_row(parse_mail_request(MAIL), NOON)
