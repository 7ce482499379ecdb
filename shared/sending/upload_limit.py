"""When the next large file of a mailbox may be uploaded, over all hosts. Pure.

Graph takes 150 MB in five minutes for one app and mailbox (https://learn.microsoft.com/graph/throttling-limits).
It does not say whether the chunks count that go to Outlook's upload host, so they are counted. Each file is
counted on its own, first in, first out: files that are larger together go up one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shared.deliveries.slot import Slot
from shared.sending.schedule import START, Schedule

LIMIT_BYTES: Final = 150_000_000
#: Files that are begun in the same ten seconds are one entry of the row.
_MERGED = 10
#: Five minutes, a minute for the upload itself, and what merging makes of the time.
SPAN: Final = timedelta(minutes=6, seconds=_MERGED)
#: A file may be begun for so long after the time that was reserved for it.
KEPT: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class PlannedUpload:
    """A large file, or what is left of it, that is to be uploaded.

    Attributes:
        known: when it may begin, where that was kept by an earlier attempt.
        keep: keeps that.
        slot: the slot that the mail has.
        end: when the mail's time is over.
    """

    size: int
    known: datetime | None
    keep: Callable[[datetime], None]
    slot: Slot | None = None
    end: datetime | None = None


def reserve_upload(
    schedule: Schedule, count: int, now: datetime, end: datetime | None
) -> tuple[Schedule, datetime]:
    """Reserve so many bytes, and return when their upload may begin; after `end`, nothing is reserved."""
    count = min(count, LIMIT_BYTES)
    last = schedule.uploads[-1][0] if schedule.uploads else 0
    at = max((now - START).total_seconds(), last)
    entries = [entry for entry in schedule.uploads if entry[0] + SPAN.total_seconds() > at]
    while sum(size for _, size in entries) + count > LIMIT_BYTES:
        at = entries.pop(0)[0] + SPAN.total_seconds()
    begins = START + timedelta(seconds=at)
    if end is not None and begins > end:
        return schedule, begins
    place = int(at) // _MERGED * _MERGED
    if entries and entries[-1][0] == place:
        count += entries.pop()[1]
    return replace(schedule, uploads=(*entries, (place, count))), begins
