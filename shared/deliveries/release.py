"""Queue mails that waited, and mails whose queue message was lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from shared.deliveries.delivery import MAX_WAIT
from shared.deliveries.ports import DeliveryServices
from shared.deliveries.requeue import next_attempt_message
from shared.deliveries.status import SCHEDULED, DeliveryStatus
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from shared.deliveries.delivery import Delivery
    from shared.mail_queue import Outbox

#: 30 a minute: Exchange Online's limit for SMTP submission. Graph's behaviour above it is not documented.
RELEASE_INTERVAL: Final = timedelta(seconds=2)
#: A person waits for the response to this request; the timer releases the other mails.
_BATCH_AFTER_CONSENT = 20
#: How many mails can be sent at this interval until the next run of the timer, in five minutes.
_BATCH_PER_TIMER = 150
#: A poisoned mail that is released within this time was released by the timer, so the time for its attempts
#: continues. A mail that has waited longer has waited for a person, and gets the full time again.
_MAX_POISON_INTERVAL = timedelta(hours=1)
#: A mail that is this late has no queue message: the process crashed before it queued the message.
_OVERDUE = timedelta(minutes=15)


class ReleaseServices(DeliveryServices, Protocol):
    """The ports of a release."""

    @property
    def outbox(self) -> Outbox:
        """The queue."""


def release_waiting(
    tenant_id: str, status: DeliveryStatus, ports: ReleaseServices, most: int = _BATCH_AFTER_CONSENT
) -> int:
    """Queue mails that wait in this status, oldest first; return how many.

    They are queued at a limited rate.

    For each mail the row is written first, and then the message for the attempt that the row names is queued.
    After a crash between the two, the timer finds the mail overdue and queues it. If a worker changes the row
    at the same time, its change is kept, and the mail is not queued.
    """
    return release_mails(tenant_id, status, ports.deliveries.list_pending(tenant_id, [status], most), ports)


def release_next(
    tenant_id: str,
    status: DeliveryStatus,
    ports: ReleaseServices,
    must_wait: Callable[[Delivery], bool],
) -> int:
    """Queue as many as can be sent until the timer runs again.

    Mails for which `must_wait` is true continue to wait.
    """
    waiting = ports.deliveries.pending(tenant_id, [status])
    ready = list(islice((mail for mail in waiting if not must_wait(mail)), _BATCH_PER_TIMER))
    return release_mails(tenant_id, status, ready, ports)


def release_mails(
    tenant_id: str, status: DeliveryStatus, mails: Sequence[Delivery], ports: ReleaseServices
) -> int:
    """Queue those of these mails that still wait in this status.

    They are queued at a limited rate. Returns the number of `mails`.
    """
    for position, mail in enumerate(mails):
        _release(mail, status, position * RELEASE_INTERVAL, ports)
    if mails:
        log_event(Event.WAITING_MAILS_RELEASED, tenant_id=tenant_id, count=len(mails))
    return len(mails)


def resume_overdue(tenant_id: str, ports: ReleaseServices) -> int:
    """Queue overdue mails again; return how many."""
    scheduled = ports.deliveries.pending(tenant_id, SCHEDULED)
    now = ports.system.now()
    overdue = list(islice((mail for mail in scheduled if _is_overdue(mail, now)), _BATCH_PER_TIMER))
    for mail in overdue:
        _queue_again(mail, ports)
    return len(overdue)


def _queue_again(mail: Delivery, ports: ReleaseServices) -> None:
    """Queue one mail, and set its time to now, so that it is not overdue."""
    now = ports.system.now()
    row = ports.deliveries.find(mail.tenant_id, mail.message_id)
    if row is None or row.status not in SCHEDULED or not _is_overdue(row, now):
        return
    # The message is for the same attempt as the late one. If the late message still comes, only the first of
    # the two is processed.
    ports.outbox.put(next_attempt_message(row), timedelta(0))
    ports.deliveries.save(replace(row, next_attempt_at=now))


def _is_overdue(mail: Delivery, now: datetime) -> bool:
    """Return whether a mail is overdue, or waits for an impossible time."""
    due = mail.next_attempt_at
    if due is None:
        return False
    return due < now - _OVERDUE or due > now + MAX_WAIT


def _poisoned_recently(row: Delivery, now: datetime) -> bool:
    """Return whether the mail waits because it was poisoned a short time ago.

    Such a mail gets no new time for its attempts, so that they end after one day in total.
    """
    poisoned = row.problem is not None and row.problem.code == "mail_poisoned"
    return poisoned and now - row.updated_at < _MAX_POISON_INTERVAL


def _release(mail: Delivery, status: DeliveryStatus, delay: timedelta, ports: ReleaseServices) -> None:
    now = ports.system.now()
    row = ports.deliveries.find(mail.tenant_id, mail.message_id)
    if row is None or row.status is not status:
        return
    again = row.transition(DeliveryStatus.DEFERRED, now, next_attempt_at=now + delay)
    if not _poisoned_recently(row, now):
        again = again.with_new_attempts(now)
    saved = ports.deliveries.save(again)
    if saved is not None:
        ports.outbox.put(next_attempt_message(saved), delay)
