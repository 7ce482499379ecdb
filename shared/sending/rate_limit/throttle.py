"""Limit the rate of a mailbox's mails; one object serves all threads.

Storage calls: the row of a mailbox without a limit is read at most every two seconds. With a limit, one write
reserves slots for all mails that wait in the process at that time, and a mail that returns from the queue at
its slot needs one or two reads.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.errors import NothingSentError
from shared.sending.errors import LaterSlotError, MailboxPausedError, SendingLimitError, ThrottledError
from shared.sending.rate_limit.concurrency import ConcurrencyLimit
from shared.sending.rate_limit.mailbox_schedule import MailboxSchedule
from shared.sending.rate_limit.ports import ScheduleBusyError
from shared.sending.rate_limit.schedule import mailbox_key, schedule_key
from shared.sending.rate_limit.upload_limit import MAX_START_DELAY, PlannedUpload
from shared.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from shared.deliveries.requeue import StoredMailRef
    from shared.deliveries.slot import Slot
    from shared.sending.rate_limit.ports import ThrottleServices
    from shared.settings.sender import Sender

#: A mail that is due within this time waits in its worker; a later one is put back into the queue.
MAX_WAIT = timedelta(seconds=10)
#: A mail whose slot moves by less than this is queued again without an update of its row.
_MAX_UNRECORDED_DELAY = timedelta(minutes=5)
_ZERO = timedelta(0)
_CHECK_INTERVAL = 1.0
_MAX_CHECKS = 60


class Throttle:
    """Holds each mailbox's schedule and concurrency limit for all threads."""

    def __init__(self, ports: ThrottleServices) -> None:
        self._ports = ports
        self._system = ports.system
        self._mailboxes: dict[tuple[str, str], tuple[MailboxSchedule, ConcurrencyLimit]] = {}
        self._lock = threading.Lock()

    def for_sender(self, sender: Sender) -> MailboxThrottle:
        """Return the throttle of the mailbox that a sender uses."""
        key = mailbox_key(sender)
        with self._lock:
            if key not in self._mailboxes:
                schedule = MailboxSchedule(
                    schedule_key(sender, self._ports.installation),
                    self._system.new_id(),
                    lambda: self._ports.schedules,
                    self._ports.messages_per_minute,
                    self._system,
                )
                self._mailboxes[key] = schedule, ConcurrencyLimit()
            return MailboxThrottle(*self._mailboxes[key], sender.mailbox_address, self._system)

    def remaining_wait(self, ref: StoredMailRef) -> timedelta | None:
        """Return the remaining wait of a mail that returned before its slot.

        None if it must be processed now. The cached schedule suffices: slots only move to later times.
        """
        slot = ref.slot
        with self._lock:
            known = [each for each, _ in self._mailboxes.values() if slot and each.keeps(slot)]
        if slot is None or not known:
            return None
        wait = _time_until(slot, known[0])
        is_near = ref.due is not None and self._system.now() + wait <= ref.due + _MAX_UNRECORDED_DELAY
        return wait if is_near and wait > MAX_WAIT else None


@dataclass(frozen=True, slots=True)
class MailboxThrottle:
    """Schedules the mails of one mailbox, and learns from Graph's responses.

    Attributes:
        schedule: its schedule, which all hosts share.
        concurrency: the limit of this process's requests to it.
        address: its address, for the errors.
    """

    schedule: MailboxSchedule
    concurrency: ConcurrencyLimit
    address: str
    system: System

    def check_pause(self) -> None:
        """Raise MailboxPausedError with the rest of a known pause."""
        if self.schedule.current.paused_until > self.schedule.now:
            # Another process may have changed the pause, and this host's clock may have been set.
            self.schedule.read()
        wait = self.schedule.current.paused_until - self.schedule.now
        if wait > _ZERO:
            raise MailboxPausedError(retry_after=wait, address=self.address)

    def wait_for_slot(
        self, slot: Slot | None, *, first: bool, deadline: datetime | None = None
    ) -> Slot | None:
        """Wait until the mail is due; return its slot, None if none is needed.

        Args:
            slot: the slot that the mail has already.
            first: the mail takes the next slot, ahead of the waiting mails.
            deadline: if the line ends later, no slot is reserved, because the mail would not use it.

        Raises:
            LaterSlotError: the mail is not due soon.
            MailboxPausedError: too many processes reserve slots at this moment.
        """
        self._sleep_until(slot)
        for _ in range(_MAX_CHECKS):
            current = self.schedule.read()
            if self.schedule.is_unlimited:
                return None
            if self.schedule.is_learning:
                self._report_accepted()
                continue
            if slot is None or not self.schedule.keeps(slot):
                slot = self._reserve(first=first, deadline=deadline)
            elif current.is_missed(slot, self.schedule.now):
                slot = self._reserve(first=True)
            wait = _time_until(slot, self.schedule)
            if wait <= _ZERO:
                return slot
            if wait > MAX_WAIT:
                raise LaterSlotError(slot, wait, self.address)
            self._sleep_until(slot)
        raise self._schedule_busy_error()

    def wait_for_upload(self, upload: PlannedUpload) -> None:
        """Wait until a large file may be uploaded.

        Raises:
            LaterSlotError: the upload is not due soon; its time is stored.
            MailboxPausedError: too many processes change the row at this moment.
        """
        at = upload.known
        if at is None or self.schedule.now - at > MAX_START_DELAY:
            try:
                at = self.schedule.reserve_upload(upload.size, upload.end)
            except ScheduleBusyError as error:
                raise self._schedule_busy_error() from error
        wait = at - self.schedule.now
        if wait > MAX_WAIT:
            upload.save(at)
            raise LaterSlotError(upload.slot, wait, self.address)
        self.system.sleep(max(wait, _ZERO).total_seconds())

    def slot_after_refusal(self) -> LaterSlotError:
        """Return when a mail that Graph has refused is sent again.

        This does not wait: the refusal is not recorded yet, and if the worker were stopped here, the mail's
        outcome would be uncertain. While the pace is being learned, the mail is retried after the pause, and
        reserves its slot then.

        Raises:
            MailboxPausedError: too many processes reserve slots at this moment.
        """
        self.schedule.read()
        if self.schedule.is_learning:
            pause = max(self.schedule.current.paused_until - self.schedule.now, _ZERO)
            return LaterSlotError(None, pause, self.address)
        slot = self._reserve(first=True)
        return LaterSlotError(slot, _time_until(slot, self.schedule), self.address)

    @contextmanager
    def request(
        self,
        before: Callable[[], None] | None = None,
        *,
        needs_slot: bool = False,
        records_pauses: bool = True,
    ) -> Iterator[None]:
        """Limit concurrent requests, and record when Graph asks for a pause.

        Args:
            before: called directly before the request; may raise.
            needs_slot: the mail has no slot yet. While it waits for a free request, reservations of other
                threads include a slot for it.
            records_pauses: false for a request that no mail waits for.
        """
        with self.schedule.needing_slot() if needs_slot else nullcontext(), self.concurrency.request():
            if before is not None:
                before()
            begun = self.system.steady()
            try:
                yield
            except ThrottledError as error:
                if records_pauses:
                    with suppress(ScheduleBusyError, NothingSentError):
                        latency = self.system.steady() - begun
                        quota_reached = isinstance(error, SendingLimitError)
                        self.schedule.record_refusal(error.retry_after, latency, quota_reached=quota_reached)
                raise
            self.concurrency.increase_limit(self.schedule)

    def record_accepted(self) -> None:
        """Count a mail that Exchange accepted."""
        self.schedule.record_accepted()

    def _report_accepted(self) -> None:
        """Report this process's accepted mails, and wait for other reports."""
        with suppress(ScheduleBusyError):
            self.schedule.report()
        self.system.sleep(_CHECK_INTERVAL)

    def _sleep_until(self, slot: Slot | None) -> None:
        """Wait for a near slot; the schedule is read again after that."""
        wait = _time_until(slot, self.schedule) if slot else _ZERO
        if _ZERO < wait <= MAX_WAIT:
            self.system.sleep(wait.total_seconds())

    def _reserve(self, *, first: bool, deadline: datetime | None = None) -> Slot:
        """Reserve a slot, or raise LaterSlotError if it is after the deadline.

        The deadline is by this host's clock.
        """
        wait = self.schedule.current.next_slot - self.schedule.now
        if not first and deadline is not None and wait > deadline - self.system.now():
            raise LaterSlotError(None, wait, self.address)
        try:
            return self.schedule.take(first=first)
        except ScheduleBusyError as error:
            raise self._schedule_busy_error() from error

    def _schedule_busy_error(self) -> MailboxPausedError:
        wait = timedelta(seconds=5 + 10 * self.system.jitter())
        return MailboxPausedError(retry_after=wait, address=self.address)


def _time_until(slot: Slot, schedule: MailboxSchedule) -> timedelta:
    return max(schedule.current.due(slot), schedule.current.paused_until) - schedule.now
