"""Let mail go that waited for an admin or the operator."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from shared.deliveries.delivery import DeliveryStatus
from shared.deliveries.ports import DeliveryQuery
from shared.deliveries.resume import resume_message
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.deliveries.ports import DeliveryLog
    from shared.ports import Outbox
    from shared.world import World

#: Exchange Online takes 30 messages a minute from a mailbox; more would only come back throttled.
_PACE = timedelta(seconds=2)
#: One page a call: the timer releases the rest, and nothing runs long.
_AT_ONCE = 500


class Releasing(Protocol):
    """What is needed from the outside."""

    @property
    def world(self) -> World:
        """The clock."""

    @property
    def deliveries(self) -> DeliveryLog:
        """What became of each mail."""

    @property
    def outbox(self) -> Outbox:
        """The queue."""


def release_waiting(tenant_id: str, status: DeliveryStatus, ports: Releasing) -> int:
    """Queue every mail that waits in this state, oldest first, and return how many.

    The note is queued before the row says so: a crash between the two queues it again, and the
    second note finds the mail done.
    """
    page = ports.deliveries.list(DeliveryQuery(tenant_id, status=status, limit=_AT_ONCE))
    now = ports.world.now()
    for place, listed in enumerate(reversed(page.deliveries)):
        delay = place * _PACE
        ports.outbox.put(resume_message(tenant_id, listed.message_id), delay)
        row = ports.deliveries.find(tenant_id, listed.message_id)
        if row and row.status is status:
            ports.deliveries.save(row.moved(DeliveryStatus.DEFERRED, now, next_attempt_at=now + delay))
    if page.deliveries:
        log_event(Event.WAITING_MAILS_RELEASED, tenant_id=tenant_id, count=len(page.deliveries))
    return len(page.deliveries)
