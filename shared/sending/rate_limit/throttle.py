"""Limit the rate of a mailbox's mails; one object serves all threads.

The row of a mailbox that has no limit is read at most every two seconds. With a limit, one write reserves
slots for all mails that wait in the process at that time, and a mail that returns from the queue at its slot
costs one or two reads.
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

#: A mail that is due within this time waits in its worker; any other one is put back into the queue.
MAX_WAIT = timedelta(seconds=10)
#: The row is not updated for a delay shorter than this.
_MAX_UNRECORDED_DELAY = timedelta(minutes=5)
_ZERO = timedelta(0)
_CHECK_INTERVAL = 1.0
_MAX_CHECKS = 60


class Throttle:
    """Has the limits of each mailbox, which all threads share."""

    def __init__(self, ports: ThrottleServices) -> None:
        self._ports = ports
        self._system = ports.system
        self._mailboxes: dict[tuple[str, str], tuple[MailboxSchedule, ConcurrencyLimit]] = {}
        self._lock = threading.Lock()

    def of(self, sender: Sender) -> MailboxThrottle:
        """Return the limits of the mailbox that a sender uses."""
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

        None if it must be processed now. No read is needed: slots only ever move to a later time.
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
        mailbox: its schedule, which all hosts share.
        concurrency: the limit of this process's requests to it.
        address: its address, for the errors.
    """

    mailbox: MailboxSchedule
    concurrency: ConcurrencyLimit
    address: str
    system: System

    def check_pause(self) -> None:
        """Raise MailboxPausedError with the rest of a known pause."""
        if self.mailbox.schedule.paused_until > self.mailbox.now:
            # Another process may have changed the pause, and this host's clock may have been set.
            self.mailbox.read()
        wait = self.mailbox.schedule.paused_until - self.mailbox.now
        if wait > _ZERO:
            raise MailboxPausedError(retry_after=wait, address=self.address)

    def wait_for_slot(
        self, slot: Slot | None, *, first: bool, deadline: datetime | None = None
    ) -> Slot | None:
        """Wait until the mail is due; return its slot, None if none is needed.

        `slot` is the one that it has. `first`: it takes the next slot, ahead of the waiting mails. After its
        `deadline` it gets no slot at the end of the line, because it would not use that.

        Raises:
            LaterSlotError: the mail is not due soon.
            MailboxPausedError: too many processes reserve slots at this moment.
        """
        self._sleep_until(slot)
        for _ in range(_MAX_CHECKS):
            schedule = self.mailbox.read()
            if self.mailbox.is_open:
                return None
            if self.mailbox.is_learning:
                self._report_accepted()
                continue
            if slot is None or not self.mailbox.keeps(slot):
                slot = self._reserve(first=first, deadline=deadline)
            elif schedule.is_missed(slot, self.mailbox.now):
                slot = self._reserve(first=True)
            wait = _time_until(slot, self.mailbox)
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
        if at is None or self.mailbox.now - at > MAX_START_DELAY:
            try:
                at = self.mailbox.reserve_upload(upload.size, upload.end)
            except ScheduleBusyError as error:
                raise self._schedule_busy_error() from error
        wait = at - self.mailbox.now
        if wait > MAX_WAIT:
            upload.save(at)
            raise LaterSlotError(upload.slot, wait, self.address)
        self.system.sleep(max(wait, _ZERO).total_seconds())

    def slot_after_refusal(self) -> LaterSlotError:
        """Return when a mail that Graph has refused is to be sent again.

        It does not wait, because the refusal is not recorded yet: if the worker were killed here, the mail's
        outcome would be uncertain. While the pace is learned, the mail is retried after the pause and
        reserves its slot then.

        Raises:
            MailboxPausedError: too many processes reserve slots at this moment.
        """
        self.mailbox.read()
        if self.mailbox.is_learning:
            pause = max(self.mailbox.schedule.paused_until - self.mailbox.now, _ZERO)
            return LaterSlotError(None, pause, self.address)
        slot = self._reserve(first=True)
        return LaterSlotError(slot, _time_until(slot, self.mailbox), self.address)

    @contextmanager
    def request(
        self,
        before: Callable[[], None] | None = None,
        *,
        needs_slot: bool = False,
        records_pauses: bool = True,
    ) -> Iterator[None]:
        """Limit concurrent requests, and record when Graph asks for a pause.

        `before` is called directly before the request and may raise. `needs_slot`: the mail has no slot yet;
        while it waits for its request, reservations of other threads include one for it.
        """
        with self.mailbox.needing_slot() if needs_slot else nullcontext(), self.concurrency.request():
            if before is not None:
                before()
            begun = self.system.steady()
            try:
                yield
            except ThrottledError as error:
                if records_pauses:
                    with suppress(ScheduleBusyError, NothingSentError):
                        latency = self.system.steady() - begun
                        used_up = isinstance(error, SendingLimitError)
                        self.mailbox.record_refusal(error.retry_after, latency, used_up=used_up)
                raise
            self.concurrency.raise_limit(self.mailbox)

    def record_accepted(self) -> None:
        """Count a mail that Exchange accepted."""
        self.mailbox.record_accepted()

    def _report_accepted(self) -> None:
        """Report this process's accepted mails, and wait for other reports."""
        with suppress(ScheduleBusyError):
            self.mailbox.report()
        self.system.sleep(_CHECK_INTERVAL)

    def _sleep_until(self, slot: Slot | None) -> None:
        """Wait for a near slot; the schedule is read again after that."""
        wait = _time_until(slot, self.mailbox) if slot else _ZERO
        if _ZERO < wait <= MAX_WAIT:
            self.system.sleep(wait.total_seconds())

    def _reserve(self, *, first: bool, deadline: datetime | None = None) -> Slot:
        """Reserve a slot, or raise LaterSlotError if it is after the deadline.

        The deadline is by this host's clock.
        """
        wait = self.mailbox.schedule.next_slot - self.mailbox.now
        if not first and deadline is not None and wait > deadline - self.system.now():
            raise LaterSlotError(None, wait, self.address)
        try:
            return self.mailbox.take(first=first)
        except ScheduleBusyError as error:
            raise self._schedule_busy_error() from error

    def _schedule_busy_error(self) -> MailboxPausedError:
        wait = timedelta(seconds=5 + 10 * self.system.jitter())
        return MailboxPausedError(retry_after=wait, address=self.address)


def _time_until(slot: Slot, mailbox: MailboxSchedule) -> timedelta:
    return max(mailbox.schedule.due(slot), mailbox.schedule.paused_until) - mailbox.now
