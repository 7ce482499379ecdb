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
from shared.sending.errors import LaterSlotError, MailboxPausedError, SendingLimitError, ThrottledError
from shared.sending.rate_limit.concurrency import ConcurrencyLimit
from shared.sending.rate_limit.mailbox_schedule import MailboxSchedule
from shared.sending.rate_limit.ports import ScheduleBusyError
from shared.sending.rate_limit.schedule import mailbox_key, schedule_key
from shared.sending.rate_limit.upload_limit import MAX_START_DELAY, PlannedUpload

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
    """Schedules the mails, and learns from Graph's responses."""

    def __init__(self, ports: ThrottleServices) -> None:
        self._ports = ports
        self._system = ports.system
        self._known: dict[tuple[str, str], tuple[MailboxSchedule, ConcurrencyLimit]] = {}
        self._lock = threading.Lock()

    def check(self, sender: Sender) -> None:
        """Check that no pause is known for a mailbox.

        Raises:
            MailboxPausedError: with the rest of the pause.
        """
        mailbox_schedule, _ = self._of(sender)
        if mailbox_schedule.schedule.paused_until > mailbox_schedule.now:
            # Another process may have changed the pause, and this host's clock may have been set.
            mailbox_schedule.read()
        wait = mailbox_schedule.schedule.paused_until - mailbox_schedule.now
        if wait > _ZERO:
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
        mailbox_schedule, _ = self._of(sender)
        slot = known
        self._sleep_until(mailbox_schedule, slot)
        for _ in range(_MAX_CHECKS):
            schedule = mailbox_schedule.read()
            if mailbox_schedule.is_open:
                return None
            if mailbox_schedule.is_learning:
                self._report(mailbox_schedule)
                continue
            if slot is None or not mailbox_schedule.keeps(slot):
                self._check_end(mailbox_schedule, sender, None if first else end)
                slot = self._take(mailbox_schedule, sender, first=first)
            elif schedule.is_missed(slot, mailbox_schedule.now):
                slot = self._take(mailbox_schedule, sender, first=True)
            wait = self._wait(mailbox_schedule, slot)
            if wait <= _ZERO:
                return slot
            if wait > MAX_WAIT:
                raise LaterSlotError(slot, wait, sender.mailbox_address)
            self._sleep_until(mailbox_schedule, slot)
        raise self._busy(sender)

    def wait_of(self, ref: StoredMailRef) -> timedelta | None:
        """Return the remaining wait of a mail that returned before its slot.

        None if it must be processed now. No read is needed: slots only ever move to a later time.
        """
        slot = ref.slot
        with self._lock:
            known = [each for each, _ in self._known.values() if slot and each.keeps(slot)]
        if slot is None or not known:
            return None
        wait = self._wait(known[0], slot)
        is_near = ref.due is not None and self._system.now() + wait <= ref.due + _MAX_UNRECORDED_DELAY
        return wait if is_near and wait > MAX_WAIT else None

    def wait_for_upload(self, sender: Sender, upload: PlannedUpload) -> None:
        """Wait until a large file may be uploaded.

        Raises:
            LaterSlotError: the upload is not due soon; its time is stored.
            MailboxPausedError: too many processes change the row at this moment.
        """
        mailbox_schedule, _ = self._of(sender)
        at = upload.known
        if at is None or mailbox_schedule.now - at > MAX_START_DELAY:
            try:
                at = mailbox_schedule.reserve_upload(upload.size, upload.end)
            except ScheduleBusyError as error:
                raise self._busy(sender) from error
        wait = at - mailbox_schedule.now
        if wait > MAX_WAIT:
            upload.save(at)
            raise LaterSlotError(upload.slot, wait, sender.mailbox_address)
        self._system.sleep(max(wait, _ZERO).total_seconds())

    def slot_after_refusal(self, sender: Sender) -> LaterSlotError:
        """Return when a mail that Graph has refused is to be sent again.

        It does not wait, because the refusal is not recorded yet: if the worker were killed here, the mail's
        outcome would be uncertain. While the pace is learned, the mail is retried after the pause and
        reserves its slot then.

        Raises:
            MailboxPausedError: too many processes reserve slots at this moment.
        """
        mailbox_schedule, _ = self._of(sender)
        mailbox_schedule.read()
        if mailbox_schedule.is_learning:
            pause = max(mailbox_schedule.schedule.paused_until - mailbox_schedule.now, _ZERO)
            return LaterSlotError(None, pause, sender.mailbox_address)
        slot = self._take(mailbox_schedule, sender, first=True)
        return LaterSlotError(slot, self._wait(mailbox_schedule, slot), sender.mailbox_address)

    @contextmanager
    def request(
        self,
        sender: Sender,
        ready: Callable[[], None] | None = None,
        *,
        wants_slot: bool = False,
        records_pauses: bool = True,
    ) -> Iterator[None]:
        """Limit concurrent requests, and record when Graph asks for a pause.

        `ready` is called before the request and may raise. `wants_slot`: the mail has no slot yet; while it
        waits for its request, reservations of other threads include one for it.
        """
        mailbox_schedule, concurrency = self._of(sender)
        with mailbox_schedule.wanting() if wants_slot else nullcontext(), concurrency.request():
            if ready is not None:
                ready()
            begun = self._system.steady()
            try:
                yield
            except ThrottledError as error:
                if records_pauses:
                    with suppress(ScheduleBusyError, NothingSentError):
                        latency = self._system.steady() - begun
                        used_up = isinstance(error, SendingLimitError)
                        mailbox_schedule.record_refusal(error.retry_after, latency, used_up=used_up)
                raise
            concurrency.raise_limit(mailbox_schedule)

    def record_accepted(self, sender: Sender) -> None:
        """Count a mail that Exchange accepted."""
        self._of(sender)[0].record_accepted()

    def _of(self, sender: Sender) -> tuple[MailboxSchedule, ConcurrencyLimit]:
        mailbox = mailbox_key(sender)
        with self._lock:
            if mailbox not in self._known:
                mailbox_schedule = MailboxSchedule(
                    schedule_key(sender, self._ports.installation),
                    self._system.new_id(),
                    lambda: self._ports.schedules,
                    self._ports.messages_per_minute,
                    self._system,
                )
                self._known[mailbox] = mailbox_schedule, ConcurrencyLimit()
            return self._known[mailbox]

    def _report(self, mailbox_schedule: MailboxSchedule) -> None:
        """Report this process's accepted mails, and wait for other reports."""
        with suppress(ScheduleBusyError):
            mailbox_schedule.report()
        self._system.sleep(_CHECK_INTERVAL)

    def _sleep_until(self, mailbox_schedule: MailboxSchedule, slot: Slot | None) -> None:
        """Wait until a near slot; the schedule is read again after that."""
        wait = self._wait(mailbox_schedule, slot) if slot else _ZERO
        if _ZERO < wait <= MAX_WAIT:
            self._system.sleep(wait.total_seconds())

    def _take(self, mailbox_schedule: MailboxSchedule, sender: Sender, *, first: bool) -> Slot:
        try:
            return mailbox_schedule.take(first=first)
        except ScheduleBusyError as error:
            raise self._busy(sender) from error

    def _check_end(self, mailbox_schedule: MailboxSchedule, sender: Sender, end: datetime | None) -> None:
        """Raise LaterSlotError if the mail's deadline is before the line's end.

        The deadline is by this host's clock.
        """
        wait = mailbox_schedule.schedule.next_slot - mailbox_schedule.now
        if end is not None and wait > end - self._system.now():
            raise LaterSlotError(None, wait, sender.mailbox_address)

    def _wait(self, mailbox_schedule: MailboxSchedule, slot: Slot) -> timedelta:
        schedule = mailbox_schedule.schedule
        return max(schedule.due(slot), schedule.paused_until) - mailbox_schedule.now

    def _busy(self, sender: Sender) -> MailboxPausedError:
        wait = timedelta(seconds=5 + 10 * self._system.jitter())
        return MailboxPausedError(retry_after=wait, address=sender.mailbox_address)
