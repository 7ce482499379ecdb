"""Define the outcomes that are reported to a mail's scheduler. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, Final

from shared.deliveries.status import DeliveryStatus
from shared.forward_compatible import Stored
from shared.problems import Actor, FieldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shared.settings.tenant import ActiveProblem

#: The warning for a mail that names a queue which the operator does not offer.
NOT_OFFERED: Final = "outcome_queue_not_offered"
#: A table row holds 64 KiB; no working program makes a message with more invalid fields.
MAX_ERRORS: Final = 20
#: The outcomes that can wait for an unavailable queue; the oldest are dropped first.
MAX_OWED: Final = 20
#: The most characters, as JSON, of the invalid fields of one outcome, and of all waiting outcomes. The
#: document of a mail is one property of its row, so it has 32 Ki of them in all.
_MAX_OF_FIELDS = 4_000
_MAX_OF_OWED = 8_000
#: Names and punctuation that JSON adds to the values of an outcome, and of an invalid field.
_OUTCOME_OVERHEAD, _FIELD_OVERHEAD = 110, 25


@dataclass(frozen=True, slots=True)
class Outcome(Stored):
    """One outcome of a mail.

    Attributes:
        number: counts the outcomes of one mail; a correction, or one after a restart, has the next one.
        queue: the queue that its scheduler named.
        correlation_id: of the message with this outcome; the next message can have another.
        fields: only of an invalid message.
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
    # An earlier problem, which was corrected or released, is not the reason for another outcome.
    reported = _reported_fields(fields) if status is DeliveryStatus.INVALID else ()
    code = problem.code if problem else None
    who_acts = problem.problem.who_acts if problem else None
    return Outcome(number, queue, status, at, code, who_acts, correlation_id, reported)


def latest(owed: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """Return the latest outcomes that fit in the row of one mail."""
    newest_first = owed[::-1][:MAX_OWED]
    return newest_first[: _fitting(newest_first, _size_of_outcome, _MAX_OF_OWED)][::-1]


def _reported_fields(fields: tuple[FieldError, ...]) -> tuple[FieldError, ...]:
    some = fields[:MAX_ERRORS]
    return some[: _fitting(some, _size_of_field, _MAX_OF_FIELDS)]


def _fitting[Part](parts: Iterable[Part], size: Callable[[Part], int], most: int) -> int:
    """Count the first parts that fit together."""
    return sum(1 for _ in takewhile(lambda total: total <= most, accumulate(map(size, parts))))


def _size_of_outcome(outcome: Outcome) -> int:
    texts = (outcome.queue, outcome.code, outcome.who_acts, outcome.correlation_id, outcome.at.isoformat())
    return _OUTCOME_OVERHEAD + sum(map(_size, filter(None, texts))) + sum(map(_size_of_field, outcome.fields))


def _size_of_field(field: FieldError) -> int:
    return _FIELD_OVERHEAD + _size(field.field) + _size(field.message)


def _size(text: str) -> int:
    """Count UTF-16 units, which is how storage counts a text."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-16-le", "surrogatepass")) // 2
