"""Cache one mailbox's schedule in a process; read and change the row.

Only one read or write is in progress at a time, and one write reserves slots for all waiting threads. While
storage is unavailable, the process uses its cached schedule, as if it were the only one, and rarely retries.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError, NothingSentError, TransientError
from shared.sending.rate_limit.pace import Refusal, add_report, apply_refusal
from shared.sending.rate_limit.ports import ScheduleBusyError
from shared.sending.rate_limit.schedule import Schedule, clock_ahead, mailbox_mark
from shared.sending.rate_limit.slots import insert, reserve
from shared.sending.rate_limit.upload_limit import reserve_upload
from shared.system import Moment, System
from shared.telemetry import log_failed_step
from shared.time_limit import acquire_in_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from shared.deliveries.slot import Slot
    from shared.sending.rate_limit.ports import ScheduleStore

#: The maximum age of the cached schedule, and while hosts share requests.
_MAX_AGE = timedelta(seconds=2)
_MAX_AGE_SHARED = timedelta(milliseconds=500)
#: The time without reads and writes after storage did not respond.
_RETRY_WAIT = timedelta(seconds=10)
_MINUTE = timedelta(seconds=60)
#: A reserved slot that no thread has used by then is dropped: using it later would exceed the pace.
_MAX_SLOT_AGE = timedelta(seconds=5)
#: If a process has reserved slots this recently, more of its threads are likely to need one.
_BUSY = timedelta(seconds=2)
_JOIN_WAIT = 0.1
#: Each conflict doubles the time over which the processes spread their next writes.
_CONFLICT_SPREAD = 0.1
_MAX_WRITES = 6
_MAX_COUNTED = 10_000


class MailboxSchedule:
    """One mailbox's schedule in this process; used by all threads.

    Attributes:
        current: the version that was read or written last.
    """

    def __init__(
        self, key: str, process: str, store: Callable[[], ScheduleStore], pace: int, system: System
    ) -> None:
        """Follow a row; `pace` is the operator's limit, 0 if it is learned."""
        self.current = Schedule()
        self._key = key
        self._mailbox = mailbox_mark(key)
        self._process = process
        self._store = store
        self._pace = pace
        self._system = system
        self._row = threading.Lock()
        self._counting = threading.Lock()
        self._read_at: Moment | None = None
        self._reserved_at: datetime | None = None
        self._failed_at: datetime | None = None
        self._unsaved = False
        self._ahead = timedelta(0)
        self._slots: list[Slot] = []
        self._needing_slot: set[int] = set()
        self._accepted: deque[datetime] = deque(maxlen=_MAX_COUNTED)

    @property
    def now(self) -> datetime:
        """The time by storage's clock, which all hosts share."""
        return self._system.now() + self._ahead

    @property
    def is_unlimited(self) -> bool:
        """Whether nothing is known to limit the mails."""
        return self.current.is_unlimited(self.now, self._pace)

    @property
    def is_learning(self) -> bool:
        """Whether hosts still report how many mails were accepted."""
        return self.current.is_learning(self.now)

    def read(self) -> Schedule:
        """Return the schedule; read again if too old, or the clock was set.

        Raises:
            NothingSentError: the attempt's time is over; the other methods that wait raise it too.
        """
        with acquire_in_time(self._row):
            known, system = self._read_at, self._system
            if known is None or max(known.elapsed(system), known.calendar - system.now()) >= self._max_age():
                self._load()
            return self.current

    def may_increase_limit(self) -> bool:
        """Read the schedule; return whether one more request may run.

        It does not wait for other threads, because a mail may just have been sent.
        """
        if not self._row.acquire(blocking=False):
            return False
        try:
            self._load()
        finally:
            self._row.release()
        return bool(self._pace or self.current.pace or self.is_unlimited)

    def keeps(self, slot: Slot) -> bool:
        """Return whether a slot belongs to this mailbox and its present line."""
        own = slot.mailbox == self._mailbox and self.current.has_place(slot)
        return own and not self.current.exceeds(self._pace, self.now)

    def take(self, *, first: bool) -> Slot:
        """Reserve a slot: the next one before the line, or at its end.

        Raises:
            ScheduleBusyError: every try had a conflict with another process.
        """
        return replace(self._take(first=first), mailbox=self._mailbox)

    def _take(self, *, first: bool) -> Slot:
        if first:
            with acquire_in_time(self._row):
                return self._change(lambda schedule, now: insert(schedule, now, self._pace))
        with self.needing_slot(), acquire_in_time(self._row):
            self._slots = [slot for slot in self._slots if self._is_fresh(slot)]
            if not self._slots:
                self._wait_for_others()
                count = len(self._needing_slot)
                self._slots = self._change(lambda schedule, now: reserve(schedule, count, now, self._pace))
            return self._slots.pop(0)

    @contextmanager
    def needing_slot(self) -> Iterator[None]:
        """Include this thread, whose mail has no slot, in the next reservation."""
        thread = threading.get_ident()
        with self._counting:
            self._needing_slot.add(thread)
        try:
            yield
        finally:
            with self._counting:
                self._needing_slot.discard(thread)

    def reserve_upload(self, count: int, end: datetime | None) -> datetime:
        """Reserve an upload in the row, or raise ScheduleBusyError."""
        with acquire_in_time(self._row):
            return self._change(lambda schedule, now: reserve_upload(schedule, count, now, end))

    def record_accepted(self) -> None:
        """Count a mail that Exchange accepted."""
        self._accepted.append(self.now)

    def record_refusal(self, wait: timedelta | None, latency: timedelta, *, quota_reached: bool) -> None:
        """Tell all hosts of a refusal by Graph; `wait` is what it asks for."""
        with acquire_in_time(self._row):
            refusal = Refusal(wait, self._process, self._recent(), latency, quota_reached)
            self._change(lambda schedule, now: (apply_refusal(schedule, refusal, now, self._pace), None))

    def report(self) -> None:
        """Report this process's accepted mails if the row does not have them."""
        with acquire_in_time(self._row):
            accepted = self._recent()
            if self.current.counts.get(self._process) != accepted:
                self._change(lambda schedule, _: (add_report(schedule, self._process, accepted), None))

    def _is_fresh(self, slot: Slot) -> bool:
        return slot.line == self.current.line and self.now - self.current.due(slot) <= _MAX_SLOT_AGE

    def _wait_for_others(self) -> None:
        """Wait shortly, so that more threads of a busy process share a write."""
        steady = self._system.steady()
        if self._reserved_at is not None and steady - self._reserved_at < _BUSY:
            self._system.sleep(_JOIN_WAIT)
        self._reserved_at = steady

    def _max_age(self) -> timedelta:
        shared = self.now < self.current.sharing_until and not self.current.pace
        return _MAX_AGE_SHARED if shared else _MAX_AGE

    def _load(self) -> None:
        self._read_at = Moment.of(self._system)
        if self._storage_failed():
            return
        sent = self._system.now()
        try:
            found, storage_time = self._store().load(self._key)
        except (TransientError, ConfigurationError) as error:
            self._record_failure("read_schedule", error)
        else:
            self._ahead = clock_ahead(storage_time, sent, self._system.now())
            self.current = self._with_unsaved(found).if_plausible(self.now)

    def _with_unsaved(self, found: Schedule) -> Schedule:
        """Keep unsaved changes; only the pause if another process wrote."""
        if not self._unsaved:
            return found
        if found.etag == self.current.etag:
            return self.current
        return found.paused(self.current.paused_until, self.now)

    def _change[Found](self, change: Callable[[Schedule, datetime], tuple[Schedule, Found]]) -> Found:
        """Change the row; on a conflict, read it and try again."""
        for tries in range(_MAX_WRITES):
            changed, found = change(self.current, self.now)
            saved = self._save(changed)
            if saved is not None:
                self.current, self._read_at = saved, Moment.of(self._system)
                return found
            self._system.sleep(self._system.jitter() * _CONFLICT_SPREAD * 2**tries)
            self._load()
        raise ScheduleBusyError

    def _save(self, schedule: Schedule) -> Schedule | None:
        if self._storage_failed():
            self._unsaved = True
            return schedule
        try:
            saved = self._store().save(self._key, schedule)
        except (TransientError, ConfigurationError) as error:
            self._record_failure("write_schedule", error)
            self._unsaved = True
            return schedule
        self._unsaved = self._unsaved and saved is None
        return saved

    def _storage_failed(self) -> bool:
        """Return whether storage failed recently; each try delays mails."""
        return self._failed_at is not None and self._system.steady() - self._failed_at < _RETRY_WAIT

    def _record_failure(self, step: str, error: TransientError | ConfigurationError) -> None:
        log_failed_step(step, error.code)
        # The time limit of an attempt is no failure of storage.
        if not isinstance(error, NothingSentError):
            self._failed_at = self._system.steady()

    def _recent(self) -> int:
        since = (self.current.learning_since or self.now) - _MINUTE
        return sum(moment > since for moment in self._accepted)
