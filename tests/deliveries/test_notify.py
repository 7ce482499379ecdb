"""A scheduler is notified of each outcome at least once, and correctly."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.serialization import write_document
from shared.api.deliveries import retry_delivery
from shared.api.delivery_models import delivery_view
from shared.deliveries.delivery import Delivery
from shared.deliveries.notify import NotifyingDeliveryLog
from shared.deliveries.outcome_report import MAX_ERRORS, MAX_UNREPORTED
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, OutcomeUnknownError, RejectedError, TransientError
from shared.problems import FieldError
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.sending.poison import record_poisoned
from shared.settings.sending_switch import SendingPause
from shared.settings.tenant import ActiveProblem
from tests.api_client import a_request
from tests.builders import ADMIN, a_file, a_message, enabled_services
from tests.fakes import CONTOSO, FABRIKAM, NOON, FakeServices

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.errors import ProblemError

QUEUE, SECOND = "mail-outcomes", "second-outcomes"
WITH_OUTCOME_QUEUE = a_message(messageId="m-1", outcomeQueue=QUEUE, correlationId="run 4711")


class MemoryQueues:
    """Queues in memory that can fail (`fail`) or be missing (`gone`)."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.fail: list[ProblemError] = []
        self.gone: set[str] = set()
        self.tried = 0

    def put(self, queue: str, text: bytes) -> None:
        self.tried += 1
        if queue in self.gone:
            raise ConfigurationError("storage_incomplete", service="queues")
        if self.fail:
            raise self.fail.pop(0)
        self.messages.append((queue, json.loads(text)))


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


@pytest.fixture
def queues(services: FakeServices) -> MemoryQueues:
    found = MemoryQueues()
    enable_notifications(services, found, [QUEUE, SECOND])
    return found


def enable_notifications(
    services: FakeServices, queues: MemoryQueues, offered: Iterable[str] | ConfigurationError
) -> None:
    """Make the log notify the `offered` queues, which the operator set."""

    def names() -> frozenset[str]:
        if isinstance(offered, ConfigurationError):
            raise offered
        return frozenset(offered)

    log = NotifyingDeliveryLog(services.deliveries, queues, names, services.system)
    services.deliveries = log  # type: ignore[assignment]


def row(services: FakeServices) -> Delivery:
    found = services.deliveries.find(CONTOSO, "m-1")
    assert found
    return found


def reported_outcomes(queues: MemoryQueues) -> list[tuple[int, str, str | None]]:
    return [(text["sequence"], text["status"], text["code"]) for _, text in queues.messages]


def test_an_outcome_contains_no_address_subject_or_body(services: FakeServices, queues: MemoryQueues) -> None:
    deliver(WITH_OUTCOME_QUEUE, "q-1", services)

    assert queues.messages == [
        (
            QUEUE,
            {
                "schemaVersion": 1,
                "messageId": "m-1",
                "tenantId": CONTOSO,
                "correlationId": "run 4711",
                "sequence": 1,
                "status": "accepted",
                "code": None,
                "whoActs": None,
                "errors": [],
                "at": "2026-11-23T12:00:00Z",
            },
        )
    ]
    assert (row(services).status, row(services).unreported_outcomes) == (DeliveryStatus.ACCEPTED, ())


def test_a_mail_without_an_outcome_queue_costs_no_extra_call(
    services: FakeServices, queues: MemoryQueues
) -> None:
    deliver(a_message(messageId="m-1"), "q-1", services)

    assert queues.messages == []
    assert row(services).etag == "v2"


def test_a_rejected_mail_is_reported_with_its_problem(services: FakeServices, queues: MemoryQueues) -> None:
    services.transport.fail = [RejectedError("attachment_archived", blob="a.pdf")]

    deliver(WITH_OUTCOME_QUEUE, "q-1", services)

    assert reported_outcomes(queues) == [(1, "rejected", "attachment_archived")]
    assert queues.messages[0][1]["whoActs"] == "caller"


def test_an_expired_mail_is_reported(services: FakeServices, queues: MemoryQueues) -> None:
    late = a_message(messageId="m-1", outcomeQueue=QUEUE, expiresAt=(NOON - timedelta(hours=1)).isoformat())

    deliver(late, "q-1", services)

    assert reported_outcomes(queues) == [(1, "expired", "expired")]


def test_an_invalid_message_is_reported_with_its_invalid_fields(
    services: FakeServices, queues: MemoryQueues
) -> None:
    deliver(a_message(messageId="m-1", outcomeQueue=QUEUE, subject=None, to=[]), "q-1", services)

    assert reported_outcomes(queues) == [(1, "invalid", "invalid_message")]
    assert {error["field"] for error in queues.messages[0][1]["errors"]} == {"subject"}


def test_a_repeated_invalid_message_is_reported_if_it_names_a_queue(
    services: FakeServices, queues: MemoryQueues
) -> None:
    deliver(a_message(messageId="m-1", subject=None), "q-1", services)
    mail = a_message(messageId="m-1", outcomeQueue=QUEUE, subject=None)
    deliver(mail, "q-2", services)
    deliver(mail, "q-2", services)
    deliver(a_message(messageId="m-1", subject=None), "q-3", services)
    deliver(mail, "q-4", services)

    assert reported_outcomes(queues) == [(1, "invalid", "invalid_message")]


def test_another_invalid_message_with_the_same_id_is_the_next_outcome(
    services: FakeServices, queues: MemoryQueues
) -> None:
    deliver(a_message(messageId="m-1", outcomeQueue=QUEUE, subject=None), "q-1", services)
    deliver(a_message(messageId="m-1", outcomeQueue=QUEUE, body=None), "q-2", services)
    deliver(WITH_OUTCOME_QUEUE, "q-3", services)

    assert reported_outcomes(queues) == [
        (1, "invalid", "invalid_message"),
        (2, "invalid", "invalid_message"),
        (3, "accepted", None),
    ]


def test_only_as_many_invalid_fields_are_reported_as_fit_in_a_row(
    services: FakeServices, queues: MemoryQueues
) -> None:
    members = {f"unknown{number}": 1 for number in range(MAX_ERRORS + 5)}

    deliver(a_message(messageId="m-1", outcomeQueue=QUEUE, **members), "q-1", services)

    assert len(queues.messages[0][1]["errors"]) == MAX_ERRORS


@pytest.mark.parametrize("queue", [7, "Mail-Outcomes", "a--b", "", "mail-outcomes/x"])
def test_an_invalid_queue_name_makes_the_message_invalid(
    services: FakeServices, queues: MemoryQueues, queue: object
) -> None:
    deliver(a_message(messageId="m-1", outcomeQueue=queue), "q-1", services)

    assert [field.field for field in row(services).fields] == ["outcomeQueue"]
    assert queues.messages == []


def test_a_corrected_outcome_is_reported_with_the_next_number(
    services: FakeServices, queues: MemoryQueues
) -> None:
    services.transport.fail = [OutcomeUnknownError("outcome_unknown")]
    deliver(WITH_OUTCOME_QUEUE, "q-1", services)
    assert reported_outcomes(queues) == [(1, "unknown", "outcome_unknown")]

    retry_delivery(a_request(route={"message_id": "m-1"}), ADMIN, services)
    text, _ = services.outbox.messages.pop()
    deliver(text, "q-2", services)

    assert reported_outcomes(queues)[1:] == [(2, "accepted", None)]


def test_a_restarted_mail_reports_each_outcome(services: FakeServices, queues: MemoryQueues) -> None:
    services.transport.fail = [RejectedError("attachment_archived", blob="a.pdf")]
    deliver(WITH_OUTCOME_QUEUE, "q-1", services)

    deliver(a_message(messageId="m-1", outcomeQueue=QUEUE, subject="Corrected"), "q-2", services)

    assert reported_outcomes(queues) == [(1, "rejected", "attachment_archived"), (2, "accepted", None)]


def test_a_duplicate_mail_reports_nothing(services: FakeServices, queues: MemoryQueues) -> None:
    deliver(WITH_OUTCOME_QUEUE, "q-1", services)
    deliver(WITH_OUTCOME_QUEUE, "q-2", services)
    deliver(a_message(messageId="m-1", outcomeQueue=QUEUE, subject="Other"), "q-3", services)

    assert reported_outcomes(queues) == [(1, "accepted", None)]


def test_another_queue_for_the_outcome_makes_no_other_mail(
    services: FakeServices, queues: MemoryQueues
) -> None:
    deliver(a_message(messageId="m-1"), "q-1", services)
    deliver(a_message(messageId="m-1", outcomeQueue=QUEUE), "q-2", services)

    assert row(services).conflict_at is None


def test_a_poisoned_mail_that_ends_is_reported(services: FakeServices, queues: MemoryQueues) -> None:
    record_poisoned(WITH_OUTCOME_QUEUE, "q-1", services)
    assert reported_outcomes(queues) == []
    started = row(services)
    services.deliveries.save(replace(started, status=DeliveryStatus.DEFERRED, next_attempt_at=NOON))
    services.system.pass_time(timedelta(hours=1))
    later = replace(row(services), trying_since=NOON - timedelta(days=2))
    services.deliveries.save(later)

    record_poisoned(WITH_OUTCOME_QUEUE, "q-1", services)

    assert reported_outcomes(queues) == [(1, "expired", "mail_poisoned")]


@pytest.mark.parametrize(
    "error",
    [
        TransientError("storage_unavailable", service="queues"),
        ConfigurationError("storage_incomplete", service="queues"),
    ],
)
def test_the_timer_reports_an_outcome_whose_queue_was_unavailable(
    services: FakeServices, queues: MemoryQueues, error: ProblemError
) -> None:
    queues.fail = [error]
    deliver(WITH_OUTCOME_QUEUE, "q-1", services)
    assert queues.messages == []
    assert row(services).status is DeliveryStatus.ACCEPTED

    release_all(services)
    release_all(services)

    assert reported_outcomes(queues) == [(1, "accepted", None)]
    assert row(services).unreported_outcomes == ()


def test_a_crash_between_the_row_and_the_message_loses_no_outcome(
    services: FakeServices, queues: MemoryQueues
) -> None:
    class ProcessEndedError(BaseException):
        """The process ends during the call."""

    class CrashingQueues:
        def put(self, queue: str, text: bytes) -> None:
            raise ProcessEndedError

    log = services.deliveries._log  # type: ignore[attr-defined]
    services.deliveries = log
    enable_notifications(services, CrashingQueues(), [QUEUE])  # type: ignore[arg-type]
    with pytest.raises(ProcessEndedError):
        deliver(WITH_OUTCOME_QUEUE, "q-1", services)
    services.deliveries = log
    enable_notifications(services, queues, [QUEUE])

    release_all(services)

    assert reported_outcomes(queues) == [(1, "accepted", None)]


def test_a_waiting_outcome_is_reported_before_the_mail_restarts(
    services: FakeServices, queues: MemoryQueues
) -> None:
    services.transport.fail = [RejectedError("attachment_archived", blob="a.pdf")]
    queues.fail = [TransientError("storage_unavailable", service="queues")]
    deliver(WITH_OUTCOME_QUEUE, "q-1", services)

    deliver(WITH_OUTCOME_QUEUE, "q-2", services)

    assert reported_outcomes(queues) == [(1, "rejected", "attachment_archived"), (2, "accepted", None)]


def test_a_repeated_outcome_keeps_its_correlation_id(services: FakeServices, queues: MemoryQueues) -> None:
    services.transport.fail = [RejectedError("attachment_archived", blob="a.pdf")]
    queues.fail = [TransientError("storage_unavailable", service="queues")]
    deliver(WITH_OUTCOME_QUEUE, "q-1", services)

    deliver(a_message(messageId="m-1", outcomeQueue=QUEUE, correlationId="run 4712"), "q-2", services)

    assert [(log["sequence"], log["correlationId"]) for _, log in queues.messages] == [
        (1, "run 4711"),
        (2, "run 4712"),
    ]


def test_a_missing_queue_does_not_delay_outcomes_of_another_queue(
    services: FakeServices, queues: MemoryQueues
) -> None:
    queues.gone = {SECOND}
    deliver(a_message(messageId="m-1", outcomeQueue=SECOND, subject=None), "q-1", services)
    deliver(WITH_OUTCOME_QUEUE, "q-2", services)
    assert reported_outcomes(queues) == [(2, "accepted", None)]
    assert [owed.number for owed in row(services).unreported_outcomes] == [1]

    queues.gone = set()
    release_all(services)

    assert reported_outcomes(queues) == [(2, "accepted", None), (1, "invalid", "invalid_message")]


def test_many_mails_of_a_missing_queue_do_not_delay_another_queue(
    services: FakeServices, queues: MemoryQueues
) -> None:
    queues.gone = {QUEUE, SECOND}
    for number in range(6000):
        services.deliveries.add(finished_mail(f"a-{number:03}", SECOND))
    deliver(WITH_OUTCOME_QUEUE, "q-1", services)
    queues.gone, queues.tried = {SECOND}, 0

    release_all(services)

    assert reported_outcomes(queues) == [(1, "accepted", None)]
    assert queues.tried == 2


@pytest.mark.parametrize("why", ["missing queue", "other version"])
def test_an_outcome_that_must_wait_delays_none_of_an_available_queue(
    services: FakeServices, queues: MemoryQueues, why: str
) -> None:
    queues.gone = {QUEUE, SECOND}
    (waiting,) = finished_mail("a", QUEUE).unreported_outcomes
    if why == "missing queue":
        waiting = replace(waiting, queue=SECOND)
    else:
        waiting = replace(waiting, status=DeliveryStatus.OTHER_VERSION)
    for number in range(600):
        mail = finished_mail(f"a-{number:03}", QUEUE)
        services.deliveries.add(replace(mail, unreported_outcomes=(waiting,)))
    services.deliveries.add(finished_mail("b-1", QUEUE))
    queues.gone = {SECOND}

    release_all(services)

    assert [text["messageId"] for _, text in queues.messages] == ["b-1"]


def test_a_mail_that_changes_while_it_is_reported_delays_no_other(
    services: FakeServices, queues: MemoryQueues
) -> None:
    log = services.deliveries._log  # type: ignore[attr-defined]
    for name in ("a-1", "b-1"):
        log.add(finished_mail(name, QUEUE))
    save = log.save
    log.save = lambda row: None if row.message_id == "a-1" else save(row)

    release_all(services)

    assert [text["messageId"] for _, text in queues.messages] == ["b-1"]


def test_one_timer_run_reports_a_limited_number_and_the_next_continues(
    services: FakeServices, queues: MemoryQueues
) -> None:
    log = services.deliveries._log  # type: ignore[attr-defined]
    for number in range(510):
        log.add(finished_mail(f"a-{number:03}", QUEUE))
    release_all(services)
    assert len(queues.messages) == 500

    release_all(services)
    assert len(queues.messages) == 510


def test_reporting_ends_within_the_timers_time(services: FakeServices, queues: MemoryQueues) -> None:
    log = services.deliveries._log  # type: ignore[attr-defined]
    for number in range(3):
        log.add(finished_mail(f"a-{number}", QUEUE))
    put = queues.put

    def put_slowly(queue: str, text: bytes) -> None:
        services.system.pass_time(timedelta(seconds=70))
        put(queue, text)

    queues.put = put_slowly  # type: ignore[method-assign]
    release_all(services)

    assert len(queues.messages) == 2


@pytest.mark.parametrize(("slow", "other"), [(CONTOSO, FABRIKAM), (FABRIKAM, CONTOSO)])
def test_a_tenant_that_uses_all_the_time_delays_another_by_a_few_runs(
    services: FakeServices, queues: MemoryQueues, slow: str, other: str
) -> None:
    log = services.deliveries._log  # type: ignore[attr-defined]
    for number in range(30):
        log.add(replace(finished_mail(f"a-{number:02}", QUEUE), tenant_id=slow))
    log.add(replace(finished_mail("m-1", QUEUE), tenant_id=other))
    put = queues.put

    def put_slowly(queue: str, text: bytes) -> None:
        services.system.pass_time(timedelta(seconds=70))
        put(queue, text)

    queues.put = put_slowly  # type: ignore[method-assign]
    for _ in range(3):
        release_all(services)
        services.system.pass_time(timedelta(minutes=5))

    assert other in {text["tenantId"] for _, text in queues.messages}


def test_a_pause_of_sending_holds_back_no_outcome(services: FakeServices, queues: MemoryQueues) -> None:
    queues.fail = [TransientError("storage_unavailable", service="queues")]
    deliver(WITH_OUTCOME_QUEUE, "q-1", services)
    services.pause_store.save(SendingPause(NOON, installation=services.installation))
    services.system.pass_time(timedelta(minutes=5))
    assert services.switch.current_pause()

    release_all(services)

    assert reported_outcomes(queues) == [(1, "accepted", None)]


def test_a_tenant_whose_outcomes_fail_delays_no_other(
    services: FakeServices, queues: MemoryQueues, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = DeliveryStatus.WAITING_FOR_CONSENT
    services.deliveries.add(Delivery(CONTOSO, "m-1", waiting, NOON, NOON, NOON))
    look = services.deliveries.pending

    def fail_for_ends(tenant_id: str, statuses: Iterable[DeliveryStatus]) -> Iterator[Delivery]:
        if DeliveryStatus.ACCEPTED in statuses:
            raise TransientError("storage_unavailable", service="tables")
        return look(tenant_id, statuses)

    services.deliveries.pending = fail_for_ends  # type: ignore[method-assign]
    release_all(services)

    assert len(services.outbox.messages) == 1
    assert '"problem": "storage_unavailable"' in caplog.text


def test_an_outcome_of_another_version_is_left_to_that_version(
    services: FakeServices, queues: MemoryQueues
) -> None:
    (unknown,) = finished_mail("m-1", QUEUE).unreported_outcomes
    unknown = replace(unknown, status=DeliveryStatus.OTHER_VERSION)
    services.deliveries.add(replace(finished_mail("m-1", QUEUE), unreported_outcomes=(unknown,)))

    release_all(services)

    assert queues.messages == []
    assert row(services).unreported_outcomes == (unknown,)


def test_a_duplicate_without_a_queue_does_not_cancel_the_outcome(
    services: FakeServices, queues: MemoryQueues
) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(WITH_OUTCOME_QUEUE, "q-1", services)
    services.system.pass_time(timedelta(minutes=10))

    deliver(a_message(messageId="m-1", correlationId="run 4711"), "q-2", services)

    assert reported_outcomes(queues) == [(1, "accepted", None)]


def test_a_later_outcome_reports_no_fields_of_an_earlier_invalid_message(services: FakeServices) -> None:
    broken = replace(
        finished_mail("m-1", QUEUE),
        unreported_outcomes=(),
        fields=(FieldError("subject", "is missing"),),
        outcome_count=0,
    )

    (outcome,) = broken.transition(DeliveryStatus.EXPIRED, NOON).unreported_outcomes

    assert outcome.fields == ()


@pytest.mark.parametrize("sign", ["x", '"', "\U0001f600"])
def test_waiting_outcomes_leave_room_in_the_row(sign: str) -> None:
    fields = tuple(FieldError(sign * 200, "is not a member of this message") for _ in range(MAX_ERRORS))
    mail = replace(finished_mail("m-1", QUEUE), unreported_outcomes=(), fields=fields)
    for _ in range(MAX_UNREPORTED):
        mail = mail.transition(DeliveryStatus.INVALID, NOON)

    alone = len(write_document(replace(mail, unreported_outcomes=())).encode("utf-16-le")) // 2
    assert 0 < len(write_document(mail).encode("utf-16-le")) // 2 - alone <= 8_100
    assert mail.unreported_outcomes[-1].number == mail.outcome_count
    assert mail.unreported_outcomes[-1].fields


def test_many_outcomes_without_invalid_fields_fit() -> None:
    mail = finished_mail("m-1", "q" * 63, correlation_id="c" * 128)
    for _ in range(MAX_UNREPORTED + 1):
        mail = mail.transition(DeliveryStatus.EXPIRED, NOON, problem=ActiveProblem("request_not_kept", NOON))

    assert len(mail.unreported_outcomes) == MAX_UNREPORTED


def finished_mail(message_id: str, queue: str, **changes: Any) -> Delivery:
    """Build a finished mail whose outcome was not reported yet."""
    mail = Delivery(CONTOSO, message_id, DeliveryStatus.SENDING, NOON, NOON, NOON, outcome_queue=queue)
    return replace(mail, **changes).transition(DeliveryStatus.REJECTED, NOON)


def test_only_a_limited_number_of_outcomes_waits(services: FakeServices, queues: MemoryQueues) -> None:
    queues.fail = [TransientError("storage_unavailable", service="queues")] * 1000
    for number in range(MAX_UNREPORTED + 3):
        deliver(
            a_message(messageId="m-1", outcomeQueue=QUEUE, subject=None, x=number), f"q-{number}", services
        )
        deliver(a_message(messageId="m-1", outcomeQueue=QUEUE, body=None), f"r-{number}", services)
    queues.fail = []

    release_all(services)

    assert [number for number, _, _ in reported_outcomes(queues)] == list(range(27, 47))


def test_a_queue_that_is_not_offered_is_a_warning_of_a_mail_that_is_sent(
    services: FakeServices, queues: MemoryQueues
) -> None:
    deliver(a_message(messageId="m-1", outcomeQueue="other"), "q-1", services)

    assert (row(services).status, row(services).unreported_outcomes, queues.messages) == (
        DeliveryStatus.ACCEPTED,
        (),
        [],
    )
    (warning,) = row(services).warnings
    assert "the queue other for its outcome" in warning.problem.detail
    assert "(OUTCOME_QUEUES)" in warning.problem.detail


def test_the_warning_is_given_once(services: FakeServices, queues: MemoryQueues) -> None:
    services.transport.fail = [RejectedError("attachment_archived", blob="a.pdf")]
    for number in range(2):
        deliver(a_message(messageId="m-1", outcomeQueue="other"), f"q-{number}", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert [warning.code for warning in row(services).warnings] == ["outcome_queue_not_offered"]
    assert queues.messages == []


def test_two_outcomes_for_an_unoffered_queue_give_one_warning(services: FakeServices) -> None:
    queues = MemoryQueues()
    log = services.deliveries
    enable_notifications(
        services, queues, ConfigurationError("setting_invalid", setting="OUTCOME_QUEUES", reason="x")
    )
    deliver(a_message(messageId="m-1", outcomeQueue=QUEUE, subject=None), "q-1", services)
    deliver(a_message(messageId="m-1", outcomeQueue=QUEUE, body=None), "q-2", services)
    assert len(row(services).unreported_outcomes) == 2

    services.deliveries = log
    enable_notifications(services, queues, [])
    release_all(services)

    assert [warning.code for warning in row(services).warnings] == ["outcome_queue_not_offered"]
    assert row(services).unreported_outcomes == ()


def test_an_outcome_is_reported_again_if_its_row_could_not_be_written(
    services: FakeServices, queues: MemoryQueues
) -> None:
    log = services.deliveries._log  # type: ignore[attr-defined]
    save = log.save

    def fail_once(delivery: Delivery) -> Delivery | None:
        if delivery.outcome_count and not delivery.unreported_outcomes:
            log.save = save
            raise TransientError("storage_unavailable", service="tables")
        written: Delivery | None = save(delivery)
        return written

    log.save = fail_once
    deliver(WITH_OUTCOME_QUEUE, "q-1", services)
    assert len(row(services).unreported_outcomes) == 1

    release_all(services)

    assert reported_outcomes(queues) == [(1, "accepted", None), (1, "accepted", None)]
    assert row(services).unreported_outcomes == ()


def test_outcomes_wait_while_a_setting_is_wrong(services: FakeServices) -> None:
    queues = MemoryQueues()
    log = services.deliveries
    enable_notifications(
        services, queues, ConfigurationError("setting_invalid", setting="OUTCOME_QUEUES", reason="x")
    )
    deliver(WITH_OUTCOME_QUEUE, "q-1", services)
    assert len(row(services).unreported_outcomes) == 1

    services.deliveries = log
    enable_notifications(services, queues, [QUEUE])
    release_all(services)

    assert reported_outcomes(queues) == [(1, "accepted", None)]


def test_a_retry_of_a_mail_with_a_file_that_is_missing_counts_on(
    services: FakeServices, queues: MemoryQueues
) -> None:
    missing = a_message(messageId="m-1", outcomeQueue=QUEUE, attachments=[a_file("a.pdf")])
    deliver(missing, "q-1", services)
    while services.outbox.messages:
        text, delay = services.outbox.messages.pop(0)
        services.system.pass_time(delay)
        deliver(text, "q-2", services)
    assert reported_outcomes(queues) == [(1, "rejected", "attachment_not_found")]

    services.files.blobs[f"{CONTOSO}/a.pdf"] = b"%PDF"
    retry_delivery(a_request(route={"message_id": "m-1"}), ADMIN, services)
    text, _ = services.outbox.messages.pop()
    deliver(text, "q-3", services)

    assert reported_outcomes(queues)[1:] == [(2, "accepted", None)]


@pytest.mark.parametrize(
    ("mark", "kept"), [("run 4711", "run 4711"), ("x" * 129, None), ("a\nb", None), (7, None)]
)
def test_a_message_without_a_usable_id_is_reported_under_its_queue_id(
    services: FakeServices, queues: MemoryQueues, mark: object, kept: str | None
) -> None:
    deliver(a_message(messageId="/", outcomeQueue=QUEUE, correlationId=mark), "q-1", services)

    ((_, log),) = queues.messages
    assert (log["messageId"], log["correlationId"]) == ("unreadable-q-1", kept)


def test_the_delivery_shows_whether_its_outcome_was_reported(
    services: FakeServices, queues: MemoryQueues
) -> None:
    queues.fail = [TransientError("storage_unavailable", service="queues")]
    deliver(WITH_OUTCOME_QUEUE, "q-1", services)
    assert shown(services) == {"queue": QUEUE, "sequence": 1, "told": False}

    release_all(services)
    assert shown(services) == {"queue": QUEUE, "sequence": 1, "told": True}


def test_nothing_is_reported_before_an_outcome_or_to_an_unlisted_queue(
    services: FakeServices, queues: MemoryQueues
) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(a_message(messageId="m-1", outcomeQueue="other"), "q-1", services)
    assert shown(services) == {"queue": "other", "sequence": 0, "told": False}

    services.system.pass_time(timedelta(minutes=10))
    text, _ = services.outbox.messages.pop()
    deliver(text, "q-2", services)
    assert shown(services) == {"queue": "other", "sequence": 1, "told": False}


def test_a_mail_without_a_queue_shows_none(services: FakeServices) -> None:
    deliver(a_message(messageId="m-1"), "q-1", services)

    assert shown(services) is None


def shown(services: FakeServices) -> dict[str, Any] | None:
    view: dict[str, Any] = delivery_view(row(services)).model_dump(by_alias=True)
    return view["outcome"]  # type: ignore[no-any-return]
