"""Schedule the large uploads of a mailbox, across all hosts. Pure.

Graph accepts 150 MB in five minutes for one app and mailbox
(https://learn.microsoft.com/graph/throttling-limits). The documentation does not say whether chunks sent to
Outlook's upload host count, so they are counted. Files are counted individually, first in, first out: files
that together exceed the limit are uploaded one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shared.deliveries.slot import Slot
from shared.sending.rate_limit.schedule import START, Schedule

LIMIT_BYTES: Final = 150_000_000
#: Uploads that begin within the same ten seconds share one entry of the row.
_MERGE_SECONDS = 10
#: Five minutes, plus a minute for the upload itself and the inaccuracy of merged entries.
SPAN: Final = timedelta(minutes=6, seconds=_MERGE_SECONDS)
#: How long after its reserved time an upload may begin.
MAX_START_DELAY: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class PlannedUpload:
    """An upload of a large file, or of the rest of it.

    Attributes:
        known: the start that an earlier attempt reserved.
        save: stores the reserved start.
        slot: the mail's slot.
        end: the mail's deadline.
    """

    size: int
    known: datetime | None
    save: Callable[[datetime], None]
    slot: Slot | None = None
    end: datetime | None = None


def reserve_upload(
    schedule: Schedule, count: int, now: datetime, end: datetime | None
) -> tuple[Schedule, datetime]:
    """Reserve bytes; return when their upload may begin.

    Nothing is reserved if that is after `end`.
    """
    count = min(count, LIMIT_BYTES)
    last = schedule.uploads[-1][0] if schedule.uploads else 0
    at = max((now - START).total_seconds(), last)
    entries = [entry for entry in schedule.uploads if entry[0] + SPAN.total_seconds() > at]
    while sum(size for _, size in entries) + count > LIMIT_BYTES:
        at = entries.pop(0)[0] + SPAN.total_seconds()
    begins = START + timedelta(seconds=at)
    if end is not None and begins > end:
        return schedule, begins
    place = int(at) // _MERGE_SECONDS * _MERGE_SECONDS
    if entries and entries[-1][0] == place:
        count += entries.pop()[1]
    return replace(schedule, uploads=(*entries, (place, count))), begins
