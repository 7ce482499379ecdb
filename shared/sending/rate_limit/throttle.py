"""Limit the rate of mails, so that Graph refuses few; for all threads.

A mailbox without refusals costs one read in two seconds. With a pace, one write covers all mails that wait in
the process at the same time, and a mail that returns from the queue at its slot costs one or two reads.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.errors import NothingSentError
from shared.sending.errors import MailboxPausedError, SendingLimitError, ThrottledError
from shared.sending.ports import ScheduleBusyError
from shared.sending.rate_limit.concurrency import Turns
from shared.sending.rate_limit.mailbox_schedule import MailboxSchedule
from shared.sending.rate_limit.schedule import mailbox_key, schedule_key
from shared.sending.rate_limit.upload_limit import KEPT, PlannedUpload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from shared.deliveries.requeue import StoredMailRef
    from shared.deliveries.slot import Slot
    from shared.sending.ports import ThrottleServices
    from shared.settings.sender import Sender

#: A mail that is due within this time waits in its worker; any other one is put back into the queue.
MAX_WAIT = timedelta(seconds=10)
#: The row is not updated for a delay shorter than this.
_UNTOLD = timedelta(minutes=5)
_NOW = timedelta(0)
_LOOK = 1.0
_MAX_LOOKS = 60


class LaterSlotError(MailboxPausedError):
    """The mail is to be sent later, at its slot.

    It has no slot while the pace is learned, or if its time ends before the next free one.
    """

    def __init__(self, slot: Slot | None, wait: timedelta, address: str) -> None:
        super().__init__(retry_after=wait, address=address)
        self.slot = slot
        self.wait = wait


class Throttle:
    """Schedules the mails, and learns from Graph's responses."""

    def __init__(self, ports: ThrottleServices) -> None:
        self._ports = ports
        self._system = ports.system
        self._known: dict[tuple[str, str], tuple[MailboxSchedule, Turns]] = {}
        self._lock = threading.Lock()

    def check(self, sender: Sender) -> None:
        """Check that no pause is known for a mailbox.

        Raises:
            MailboxPausedError: with the rest of the pause.
        """
        line, _ = self._of(sender)
        if line.schedule.paused_until > line.now:
            # Another process may have changed the pause, and this host's clock may have been set.
            line.read()
        wait = line.schedule.paused_until - line.now
        if wait > _NOW:
            raise MailboxPausedError(retry_after=wait, address=sender.mailbox_address)

    def wait_for_slot(
        self, sender: Sender, known: Slot | None, *, first: bool, end: datetime | None = None
    ) -> Slot | None:
        """Wait until the mail is due; return its slot, None if none is needed.

        `known` is the slot that it has, `first` sends it ahead of all mails that already have one, `end` is
        its deadline. A mail that would be reached only after its deadline gets no slot, because that slot
        would remain unused.

        Raises:
            LaterSlotError: the mail is not due soon.
            MailboxPausedError: too many processes reserve slots at this moment.
        """
        line, _ = self._of(sender)
        slot = known
        self._sleep_until(line, slot)
        for _ in range(_MAX_LOOKS):
            schedule = line.read()
            if line.is_open:
                return None
            if line.is_learning:
                self._report(line)
                continue
            if slot is None or not line.keeps(slot):
                self._check_end(line, sender, None if first else end)
                slot = self._take(line, sender, first=first)
            elif schedule.is_missed(slot, line.now):
                slot = self._take(line, sender, first=True)
            wait = self._wait(line, slot)
            if wait <= _NOW:
                return slot
            if wait > MAX_WAIT:
                raise LaterSlotError(slot, wait, sender.mailbox_address)
            self._sleep_until(line, slot)
        raise self._busy(sender)

    def wait_of(self, note: StoredMailRef) -> timedelta | None:
        """Return the remaining wait of a mail that returned before its slot.

        None if it must be processed now. No read is needed: slots only ever move to a later time.
        """
        slot = note.slot
        with self._lock:
            line = next((line for line, _ in self._known.values() if slot and line.keeps(slot)), None)
        if slot is None or line is None:
            return None
        wait = self._wait(line, slot)
        told = note.due is not None and self._system.now() + wait <= note.due + _UNTOLD
        return wait if told and wait > MAX_WAIT else None

    def wait_for_upload(self, sender: Sender, upload: PlannedUpload) -> None:
        """Wait until a large file may be uploaded.

        Raises:
            LaterSlotError: the upload is not due soon; its time is stored.
            MailboxPausedError: too many processes change the row at this moment.
        """
        line, _ = self._of(sender)
        at = upload.known
        if at is None or line.now - at > KEPT:
            try:
                at = line.reserve_upload(upload.size, upload.end)
            except ScheduleBusyError as error:
                raise self._busy(sender) from error
        wait = at - line.now
        if wait > MAX_WAIT:
            upload.keep(at)
            raise LaterSlotError(upload.slot, wait, sender.mailbox_address)
        self._system.sleep(max(wait, _NOW).total_seconds())

    def slot_after_refusal(self, sender: Sender) -> LaterSlotError:
        """Return when a mail that Graph has refused is to be sent again.

        It does not wait, because the refusal is not recorded yet: if the worker were killed here, the mail's
        outcome would be uncertain. While the pace is learned, the mail is retried after the pause and
        reserves its slot then.

        Raises:
            MailboxPausedError: too many processes reserve slots at this moment.
        """
        line, _ = self._of(sender)
        line.read()
        if line.is_learning:
            pause = max(line.schedule.paused_until - line.now, _NOW)
            return LaterSlotError(None, pause, sender.mailbox_address)
        slot = self._take(line, sender, first=True)
        return LaterSlotError(slot, self._wait(line, slot), sender.mailbox_address)

    @contextmanager
    def turn(
        self,
        sender: Sender,
        ready: Callable[[], None] | None = None,
        *,
        wants_slot: bool = False,
        notes_pauses: bool = True,
    ) -> Iterator[None]:
        """Limit concurrent requests, and record when Graph asks for a pause.

        `ready` is called before the request and may raise. `wants_slot`: the mail has no slot yet; while it
        waits for its request, reservations of other threads include one for it.
        """
        line, turns = self._of(sender)
        with line.wanting() if wants_slot else nullcontext(), turns.turn():
            if ready is not None:
                ready()
            begun = self._system.steady()
            try:
                yield
            except ThrottledError as error:
                if notes_pauses:
                    with suppress(ScheduleBusyError, NothingSentError):
                        latency = self._system.steady() - begun
                        used_up = isinstance(error, SendingLimitError)
                        line.record_refusal(error.retry_after, latency, used_up=used_up)
                raise
            turns.widen(line)

    def record_accepted(self, sender: Sender) -> None:
        """Count a mail that Exchange accepted."""
        self._of(sender)[0].record_accepted()

    def _of(self, sender: Sender) -> tuple[MailboxSchedule, Turns]:
        mailbox = mailbox_key(sender)
        with self._lock:
            if mailbox not in self._known:
                line = MailboxSchedule(
                    schedule_key(sender, self._ports.installation),
                    self._system.new_id(),
                    lambda: self._ports.schedules,
                    self._ports.messages_per_minute,
                    self._system,
                )
                self._known[mailbox] = line, Turns()
            return self._known[mailbox]

    def _report(self, line: MailboxSchedule) -> None:
        """Report this process's accepted mails, and wait for other reports."""
        with suppress(ScheduleBusyError):
            line.report()
        self._system.sleep(_LOOK)

    def _sleep_until(self, line: MailboxSchedule, slot: Slot | None) -> None:
        """Wait until a near slot; the schedule is read again after that."""
        wait = self._wait(line, slot) if slot else _NOW
        if _NOW < wait <= MAX_WAIT:
            self._system.sleep(wait.total_seconds())

    def _take(self, line: MailboxSchedule, sender: Sender, *, first: bool) -> Slot:
        try:
            return line.take(first=first)
        except ScheduleBusyError as error:
            raise self._busy(sender) from error

    def _check_end(self, line: MailboxSchedule, sender: Sender, end: datetime | None) -> None:
        """Raise LaterSlotError if the mail's deadline is before the line's end.

        The deadline is by this host's clock.
        """
        wait = line.schedule.next_slot - line.now
        if end is not None and wait > end - self._system.now():
            raise LaterSlotError(None, wait, sender.mailbox_address)

    def _wait(self, line: MailboxSchedule, slot: Slot) -> timedelta:
        return max(line.schedule.due(slot), line.schedule.paused_until) - line.now

    def _busy(self, sender: Sender) -> MailboxPausedError:
        wait = timedelta(seconds=5 + 10 * self._system.jitter())
        return MailboxPausedError(retry_after=wait, address=sender.mailbox_address)
