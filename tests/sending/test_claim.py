"""Who may send a mail at which moment, and what a worker leaves for the next one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.deliveries.delivery import CLAIM, MAX_HISTORY, Delivery, DeliveryStatus, Doubt
from shared.deliveries.resume import resume_message
from shared.errors import OutcomeUnknownError, ProblemError, RejectedError, TransientError
from shared.sending.claim import first_row
from shared.sending.deliver import deliver
from shared.sending.poison import record_poisoned
from shared.sending.request import parse_mail_request
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO, NOON, FakeServices

if TYPE_CHECKING:
    from shared.settings.sender import Sender

MAIL = a_message(messageId="m-1")
OTHER = a_message(messageId="m-1", subject="Something else")


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


def row(services: FakeServices) -> Delivery:
    return services.deliveries.rows[CONTOSO, "m-1"]


class OutOfTheBlueError(Exception):
    """What nobody foresaw."""


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (None, DeliveryStatus.ACCEPTED),
        (TransientError("graph_unavailable"), DeliveryStatus.DEFERRED),
        (RejectedError("mailbox_full", address="a"), DeliveryStatus.REJECTED),
    ],
)
def test_other_content_that_comes_while_a_mail_is_sent_does_not_keep_its_outcome_from_the_row(
    services: FakeServices, outcome: Exception | None, status: DeliveryStatus
) -> None:
    send = services.transport.send_mail

    def meanwhile(token: str, sender: Sender, body: bytes) -> str:
        deliver(OTHER, "q-2", services)
        if outcome:
            raise outcome
        return send(token, sender, body)

    services.transport.send_mail = meanwhile  # type: ignore[method-assign]
    deliver(MAIL, "q-1", services)

    assert row(services).status is status


def test_conflicts_do_not_make_a_row_grow_for_ever(services: FakeServices) -> None:
    deliver(MAIL, "q-1", services)
    for number in range(MAX_HISTORY + 5):
        deliver(OTHER, f"c-{number}", services)

    assert len(row(services).history) == MAX_HISTORY


def test_a_mail_that_goes_on_leaves_the_list_of_those_set_aside(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    assert services.deliveries.count(CONTOSO, [DeliveryStatus.DEFERRED]) == 1

    services.world.pass_time(timedelta(minutes=1))
    deliver(resume_message(CONTOSO, "m-1"), "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert services.deliveries.count(CONTOSO, [DeliveryStatus.DEFERRED]) == 0


def test_a_note_that_comes_before_its_time_goes_back_for_the_rest(services: FakeServices) -> None:
    wait = timedelta(minutes=2)
    services.transport.fail = [TransientError("graph_unavailable", retry_after=wait)]
    deliver(MAIL, "q-1", services)
    (first,) = services.outbox.messages
    services.world.pass_time(timedelta(seconds=30))
    deliver(first[0], "q-copy", services)

    assert services.outbox.messages == [first, (MAIL, timedelta(seconds=90))]
    assert services.transport.asked == ["send_mail"]
    assert row(services).attempt == 1


def test_a_note_that_comes_a_little_early_by_our_clock_is_in_time(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable", retry_after=timedelta(minutes=2))]
    deliver(MAIL, "q-1", services)
    services.world.pass_time(timedelta(seconds=115))
    deliver(services.outbox.messages[0][0], "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_worker_that_died_does_not_give_its_mail_another_day(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    services.world.pass_time(timedelta(hours=20))
    held = services.deliveries.save(row(services).claimed("q-2", services.world.now()))
    assert held
    deliver(resume_message(CONTOSO, "m-1"), "q-2", services)

    assert row(services).trying_since == NOON


def test_an_open_doubt_remembers_when_the_worker_had_begun(services: FakeServices) -> None:
    services.deliveries.add(first_row(parse_mail_request(MAIL), NOON).claimed("q-1", NOON))
    services.world.pass_time(CLAIM)
    deliver(MAIL, "q-2", services)

    assert row(services).doubt == Doubt(NOON + CLAIM, begun=NOON)


def test_a_failure_that_nobody_foresaw_before_the_mail_is_handed_over_leaves_no_doubt(
    services: FakeServices,
) -> None:
    services.authorizer.fail = [OutOfTheBlueError()]
    with pytest.raises(OutOfTheBlueError):
        deliver(MAIL, "q-1", services)
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert len(services.transport.sent) == 1


def test_storage_that_is_away_after_graph_refused_leaves_no_doubt(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    keep = services.requests.keep
    services.requests.keep = _away  # type: ignore[method-assign,assignment]
    with pytest.raises(TransientError, match="storage_unavailable"):
        deliver(MAIL, "q-1", services)
    services.requests.keep = keep  # type: ignore[method-assign]
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_storage_that_is_away_after_the_answer_was_lost_leaves_the_doubt(services: FakeServices) -> None:
    services.transport.after = {"send_mail": [OutcomeUnknownError("outcome_unknown")]}
    keep = services.requests.keep
    services.requests.keep = _away  # type: ignore[method-assign,assignment]
    with pytest.raises(TransientError, match="storage_unavailable"):
        deliver(MAIL, "q-1", services)
    services.requests.keep = keep  # type: ignore[method-assign]
    assert row(services).doubt == Doubt(NOON, 1)

    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert len(services.transport.sent) == 1


def test_a_failure_that_nobody_foresaw_while_the_mail_is_handed_over_leaves_a_doubt(
    services: FakeServices,
) -> None:
    services.transport.after = {"send_mail": [OutOfTheBlueError()]}
    with pytest.raises(OutOfTheBlueError):
        deliver(MAIL, "q-1", services)
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert len(services.transport.sent) == 1


def test_storage_that_is_away_after_graph_took_the_mail_leaves_a_doubt(services: FakeServices) -> None:
    save = services.deliveries.save
    services.deliveries.save = _away  # type: ignore[method-assign,assignment]
    with pytest.raises(ProblemError):
        deliver(MAIL, "q-1", services)
    services.deliveries.save = save  # type: ignore[method-assign]
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert len(services.transport.sent) == 1


def test_a_mail_that_failed_before_it_was_handed_over_and_is_poisoned_is_in_no_doubt(
    services: FakeServices,
) -> None:
    services.authorizer.fail = [OutOfTheBlueError()]
    with pytest.raises(OutOfTheBlueError):
        deliver(MAIL, "q-1", services)
    record_poisoned(MAIL, "p-1", services)

    assert (row(services).status, row(services).doubt) == (DeliveryStatus.WAITING_FOR_OPERATOR, None)


def test_many_domains_fit_into_a_row(services: FakeServices) -> None:
    everybody = [f"user@{number:03d}.{'d' * 60}.example" for number in range(490)]
    deliver(a_message(messageId="m-1", to=everybody), "q-1", services)

    assert row(services).audience.to == 490
    assert len(row(services).audience.domains) == 50


@pytest.mark.parametrize("poisoned", [False, True])
def test_a_kept_mail_that_this_version_cannot_read_is_invalid_and_not_poison(
    services: FakeServices,
    poisoned: bool,  # noqa: FBT001
) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    services.requests.keep(CONTOSO, "m-1", b'{"schemaVersion": 7}')
    services.world.pass_time(timedelta(minutes=1))
    (record_poisoned if poisoned else deliver)(resume_message(CONTOSO, "m-1"), "q-2", services)

    assert row(services).status is DeliveryStatus.INVALID
    assert "schemaVersion" in [field.field for field in row(services).fields]


def test_a_kept_mail_in_doubt_that_cannot_be_read_stays_in_doubt(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    services.deliveries.save(replace(row(services), doubt=Doubt(NOON, 1)))
    services.requests.keep(CONTOSO, "m-1", b"{}")
    deliver(resume_message(CONTOSO, "m-1"), "q-2", services)

    assert row(services).status is DeliveryStatus.UNKNOWN


def _away(*_: Any) -> Any:
    raise TransientError("storage_unavailable", service="blobs")
