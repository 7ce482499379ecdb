"""Mailbox schedules in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count

from shared.sending.rate_limit.schedule import Schedule


@dataclass
class MemorySchedules:
    """Stores schedules; each entry of `fail` is raised once."""

    rows: dict[str, Schedule] = field(default_factory=dict)
    versions: Iterable[int] = field(default_factory=lambda: count(1))
    fail: list[Exception] = field(default_factory=list)
    reads: int = 0
    writes: int = 0
    clock: Callable[[], datetime | None] = lambda: None

    def load(self, key: str) -> tuple[Schedule, datetime | None]:
        self.reads += 1
        if self.fail:
            raise self.fail.pop(0)
        return self.rows.get(key, Schedule()), self.clock()

    def save(self, key: str, schedule: Schedule) -> Schedule | None:
        self.writes += 1
        if self.fail:
            raise self.fail.pop(0)
        if self.rows.get(key, Schedule()).etag != schedule.etag:
            return None
        self.rows[key] = replace(schedule, etag=f"v{next(iter(self.versions))}")
        return self.rows[key]
