"""Define the outcomes that are reported to a mail's scheduler. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from shared.deliveries.status import DeliveryStatus
from shared.forward_compatible import Stored
from shared.problems import Actor, FieldError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.settings.tenant import ActiveProblem

#: The warning for a mail that names a queue which the operator does not offer.
NOT_OFFERED: Final = "outcome_queue_not_offered"
#: A table row holds 64 KiB, and only a broken program makes a message with more invalid fields.
MAX_ERRORS: Final = 20
#: How many outcomes of a mail can wait for an unavailable queue. The oldest are dropped first.
MAX_UNREPORTED: Final = 20
#: The most characters, as JSON, of the invalid fields of one outcome, and of all waiting outcomes. The
#: document of a mail is one property of its row, which holds 32 Ki characters.
_MAX_CHARS_OF_FIELDS = 4_000
_MAX_CHARS_OF_OUTCOMES = 8_000
#: Names and punctuation that JSON adds to the values of an outcome, and of an invalid field.
_OUTCOME_OVERHEAD, _FIELD_OVERHEAD = 110, 25


@dataclass(frozen=True, slots=True)
class Outcome(Stored):
    """One outcome of a mail.

    Attributes:
        number: counts the outcomes of one mail. A corrected outcome, and the outcome of a mail that was
            queued again, has the next number.
        queue: the queue that the scheduler of the mail named.
        correlation_id: the one of the message that had this outcome; a later message with the same id can
            have another.
        fields: the invalid fields of an invalid message; empty for other outcomes.
    """

    number: int
    queue: str
    status: DeliveryStatus
    at: datetime
    code: str | None = None
    who_acts: Actor | None = None
    correlation_id: str | None = None
    fields: tuple[FieldError, ...] = ()


def next_outcome(
    number: int,
    queue: str,
    status: DeliveryStatus,
    at: datetime,
    problem: ActiveProblem | None,
    correlation_id: str | None,
    fields: tuple[FieldError, ...],
) -> Outcome:
    """Describe the outcome that a mail has just reached."""
    # The mail may still have the invalid fields of an earlier message, which are not the reason for this
    # outcome.
    reported = _reported_fields(fields) if status is DeliveryStatus.INVALID else ()
    code = problem.code if problem else None
    who_acts = problem.problem.who_acts if problem else None
    return Outcome(number, queue, status, at, code, who_acts, correlation_id, reported)


def latest_that_fit(outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """Return the latest outcomes that fit in the row of one mail."""
    newest_first = outcomes[::-1][:MAX_UNREPORTED]
    count = _count_that_fit(map(_size_of_outcome, newest_first), _MAX_CHARS_OF_OUTCOMES)
    return newest_first[:count][::-1]


def _reported_fields(fields: tuple[FieldError, ...]) -> tuple[FieldError, ...]:
    first = fields[:MAX_ERRORS]
    return first[: _count_that_fit(map(_size_of_field, first), _MAX_CHARS_OF_FIELDS)]


def _count_that_fit(sizes: Iterable[int], limit: int) -> int:
    """Return how many of the first sizes are within the limit in total."""
    count = total = 0
    for size in sizes:
        total += size
        if total > limit:
            break
        count += 1
    return count


def _size_of_outcome(outcome: Outcome) -> int:
    texts = (outcome.queue, outcome.code, outcome.who_acts, outcome.correlation_id, outcome.at.isoformat())
    size_of_texts = sum(_size(text) for text in texts if text)
    return _OUTCOME_OVERHEAD + size_of_texts + sum(map(_size_of_field, outcome.fields))


def _size_of_field(field: FieldError) -> int:
    return _FIELD_OVERHEAD + _size(field.field) + _size(field.message)


def _size(text: str) -> int:
    """Count UTF-16 units, by which Table Storage measures a text."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-16-le", "surrogatepass")) // 2
