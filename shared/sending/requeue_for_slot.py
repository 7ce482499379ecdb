"""Put a mail back into the queue until its slot.

This does not count as an attempt. A new mail is not claimed for this: its row is written once, with its slot.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.deliveries.requeue import next_attempt_message
from shared.deliveries.status import DeliveryStatus
from shared.sending.backoff_and_deadline import deadline, expired_error, retry_before_deadline
from shared.sending.errors import MailKnownError
from shared.sending.hand_over import ensure_claimed
from shared.sending.rate_limit.slots import visible_after
from shared.sending.record_failure import record_failure
from shared.sending.record_outcome import log_outcome, write_outcome
from shared.sending.storage_outage import persist
from shared.settings.update import active_problem

if TYPE_CHECKING:
    from shared.sending.attempt import Attempt
    from shared.sending.errors import LaterSlotError
    from shared.sending.ports import SendingServices

#: If the deadline of a mail is this close after its slot, the queue message has no slot, so that the mail is
#: processed each time that the message becomes visible.
_NEAR_END = timedelta(minutes=10)


def requeue_for_slot(attempt: Attempt, later: LaterSlotError, ports: SendingServices) -> None:
    """Record when the mail is to be sent, and queue it for that time.

    A mail whose slot is after its deadline is tried once more before the deadline.

    Raises:
        NotRecordedError: storage is unavailable.
        MailKnownError: the delivery log already has the mail, so its row decides the next step.
    """
    now = ports.system.now()
    before = attempt.delivery
    end = deadline(before.counted_since(now), attempt.request.expires_at)
    wanted = now + later.wait
    again = retry_before_deadline(end, wanted, now)
    if again is None:
        ensure_claimed(attempt, ports)
        record_failure(attempt, expired_error(end, later), ports)
        return
    if before.slot is None:
        ports.requests.save(before.tenant_id, before.message_id, attempt.text)
    row = before.transition(
        DeliveryStatus.DEFERRED,
        now,
        problem=active_problem(later, ports.system),
        next_attempt_at=again,
        slot=later.slot,
        attempts_end_at=end,
        from_address=attempt.from_address,
        attempt=before.attempt - 1,
    )
    if attempt.claimed:
        write_outcome(row, ports, attempt.claim_id)
    elif persist(lambda: ports.deliveries.add(row), ports.system):
        log_outcome(row)
    else:
        raise MailKnownError
    wait = max(again - now, timedelta(0))
    if again == wanted:
        in_line = later.slot is not None and not later.slot.inserted
        slot = later.slot if in_line and end - again > _NEAR_END else None
        ports.outbox.put(next_attempt_message(row, slot), visible_after(wait))
    else:
        # This is the last attempt before the deadline, and its time is not that of a slot.
        ports.outbox.put(next_attempt_message(row), wait)
