"""Release mails that wait for a person, and find lost queue messages."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from shared.deliveries.delivery import MAX_WAIT
from shared.deliveries.ports import DeliveryServices
from shared.deliveries.requeue import next_message
from shared.deliveries.status import SCHEDULED, DeliveryStatus
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from shared.deliveries.delivery import Delivery
    from shared.mail_queue import Outbox

#: 30 a minute: Exchange Online's limit for SMTP submission. Graph's behaviour above it is not documented.
RELEASE_INTERVAL: Final = timedelta(seconds=2)
#: A person is waiting for the response; the timer releases the rest.
_BATCH_AFTER_CONSENT = 20
#: As many as the pace releases until the next run of the timer.
_BATCH_PER_TIMER = 150
_MAX_LISTED = 5000
#: A mail that waits longer waits for a person.
_MAX_POISON_INTERVAL = timedelta(hours=1)
#: A requeue message not received by then is lost: the process crashed before it queued it.
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

    The row is written first, because the message is for the attempt that the row names. After a crash between
    the two, the timer finds the mail overdue. If a worker sets the mail aside again meanwhile, its change is
    kept.
    """
    return release_mails(tenant_id, status, ports.deliveries.list_pending(tenant_id, [status], most), ports)


def release_next(
    tenant_id: str,
    status: DeliveryStatus,
    ports: ReleaseServices,
    goes_on_waiting: Callable[[Delivery], bool],
) -> int:
    """Queue as many as fit in the timer's interval, except skipped ones."""
    waiting = ports.deliveries.list_pending(tenant_id, [status], _MAX_LISTED)
    ready = [mail for mail in waiting if not goes_on_waiting(mail)][:_BATCH_PER_TIMER]
    return release_mails(tenant_id, status, ready, ports)


def release_mails(
    tenant_id: str, status: DeliveryStatus, mails: Sequence[Delivery], ports: ReleaseServices
) -> int:
    """Queue those of these mails that still wait in this status.

    They are queued at a limited rate; return how many they are.
    """
    for place, mail in enumerate(mails):
        _release(mail, status, place * RELEASE_INTERVAL, ports)
    if mails:
        log_event(Event.WAITING_MAILS_RELEASED, tenant_id=tenant_id, count=len(mails))
    return len(mails)


def resume_overdue(tenant_id: str, ports: ReleaseServices) -> int:
    """Queue overdue mails again; return how many."""
    put_off = ports.deliveries.list_pending(tenant_id, SCHEDULED, _MAX_LISTED)
    overdue = [mail for mail in put_off if _overdue(mail, ports.system.now())][:_BATCH_PER_TIMER]
    for mail in overdue:
        _queue_again(mail, ports)
    return len(overdue)


def _queue_again(mail: Delivery, ports: ReleaseServices) -> None:
    """Queue one mail, and set its time, so that it is not overdue soon."""
    now = ports.system.now()
    row = ports.deliveries.find(mail.tenant_id, mail.message_id)
    if row is None or row.status not in SCHEDULED or not _overdue(row, now):
        return
    # For the same attempt: the late message may still come, and the first of the two is processed.
    ports.outbox.put(next_message(row), timedelta(0))
    ports.deliveries.save(replace(row, next_attempt_at=now))


def _overdue(mail: Delivery, now: datetime) -> bool:
    """Return whether a mail is overdue, or waits for an impossible time."""
    if mail.next_attempt_at is None:
        return False
    return not now - _OVERDUE <= mail.next_attempt_at <= now + MAX_WAIT


def _poisoned_again(row: Delivery, now: datetime) -> bool:
    """Return whether to continue attempts of a mail that poisons repeatedly.

    It has one day in total.
    """
    poisoned = row.problem is not None and row.problem.code == "mail_poisoned"
    return poisoned and now - row.updated_at < _MAX_POISON_INTERVAL


def _release(mail: Delivery, status: DeliveryStatus, delay: timedelta, ports: ReleaseServices) -> None:
    now = ports.system.now()
    row = ports.deliveries.find(mail.tenant_id, mail.message_id)
    if row is None or row.status is not status:
        return
    again = row.transition(DeliveryStatus.DEFERRED, now, next_attempt_at=now + delay)
    saved = ports.deliveries.save(again if _poisoned_again(row, now) else again.with_new_attempts(now))
    if saved is not None:
        ports.outbox.put(next_message(saved), delay)
