"""The ends of a mail that its scheduler wants to be told of, as values. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, Final

from shared.deliveries.status import DeliveryStatus
from shared.problems import Actor, FieldError
from shared.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shared.deliveries.delivery import Delivery

#: The warning of a mail that names a queue which the operator does not offer.
NOT_OFFERED: Final = "outcome_queue_not_offered"
#: A table row holds 64 KiB; a message with more broken fields was not made by a program that works.
MOST_ERRORS: Final = 20
#: Ends that can wait for a queue which cannot be reached; the oldest are forgotten first.
MOST_OWED: Final = 20
#: Characters, as JSON writes them, of the broken fields of one end, and of all ends that wait. The document
#: of a mail is one property of its row, so it has 32 Ki of them in all.
_MOST_OF_FIELDS = 4_000
_MOST_OF_OWED = 8_000
#: Names and punctuation that the stored document adds to the values of an end, and of a broken field.
_AROUND_END, _AROUND_FIELD = 110, 25


@dataclass(frozen=True, slots=True)
class Outcome(Stored):
    """One end of a mail.

    Attributes:
        number: counts the ends of one mail; a correction, or another end after a restart, has the next one.
        queue: where its scheduler wants to read it.
        correlation_id: of the message that came to this end; the next message can have another.
        fields: of an invalid message alone.
    """

    number: int
    queue: str
    status: DeliveryStatus
    at: datetime
    code: str | None = None
    who_acts: Actor | None = None
    correlation_id: str | None = None
    fields: tuple[FieldError, ...] = ()


def next_outcome(delivery: Delivery, queue: str) -> Outcome:
    """Describe the end that a mail has just come to."""
    problem = delivery.problem
    return Outcome(
        delivery.outcomes + 1,
        queue,
        delivery.status,
        delivery.updated_at,
        problem.code if problem else None,
        problem.problem.who_acts if problem else None,
        delivery.correlation_id,
        _told_fields(delivery),
    )


def latest(owed: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """Return the ends that can wait in the row of one mail, of too many the latest."""
    newest_first = owed[::-1][:MOST_OWED]
    return newest_first[: _fitting(newest_first, _size_of_end, _MOST_OF_OWED)][::-1]


def _told_fields(delivery: Delivery) -> tuple[FieldError, ...]:
    if delivery.status is not DeliveryStatus.INVALID:
        # What it was corrected or released from is no reason for this end.
        return ()
    some = delivery.fields[:MOST_ERRORS]
    return some[: _fitting(some, _size_of_field, _MOST_OF_FIELDS)]


def _fitting[Part](parts: Iterable[Part], size: Callable[[Part], int], most: int) -> int:
    """Count the first parts that have room together."""
    return sum(1 for _ in takewhile(lambda total: total <= most, accumulate(map(size, parts))))


def _size_of_end(outcome: Outcome) -> int:
    texts = (outcome.queue, outcome.code, outcome.who_acts, outcome.correlation_id, outcome.at.isoformat())
    return _AROUND_END + sum(map(_size, filter(None, texts))) + sum(map(_size_of_field, outcome.fields))


def _size_of_field(field: FieldError) -> int:
    return _AROUND_FIELD + _size(field.field) + _size(field.message)


def _size(text: str) -> int:
    """Count UTF-16 units, which is how storage counts a text."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-16-le", "surrogatepass")) // 2
