"""Put a mail back into the queue until its slot.

It counts as no attempt. A new mail is not claimed for that: its row is written once, with its slot.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.deliveries.requeue import next_message
from shared.deliveries.status import DeliveryStatus
from shared.sending.errors import THROTTLED_CODES
from shared.sending.expiry import before_end, expired
from shared.sending.hand_over import MailKnownError, claim_unless_claimed
from shared.sending.outcome import announce, record_failure, write_outcome
from shared.sending.persist import persist
from shared.sending.retry_policy import deadline
from shared.sending.slots import visible_after
from shared.settings.update import as_record

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.sending.attempt import Attempt
    from shared.sending.ports import SendingServices
    from shared.sending.throttle import LaterSlotError

#: A mail whose time is over so soon after its slot is looked at whenever it comes back.
_NEAR_END = timedelta(minutes=10)
_TEST_MAIL: Final = "test-mail:"
#: A mail that failed more often goes to the line's end, or mails that always fail would hold others back.
_MAX_FAILURES = 2
_WAITED = THROTTLED_CODES | {"mailbox_paused", "attempt_too_long", "sending_paused"}


def goes_first(row: Delivery) -> bool:
    """Whether a mail goes before others: a person waits for it, or it was tried before and not too often."""
    if row.message_id.startswith(_TEST_MAIL):
        return True
    failures = sum(
        step.status is DeliveryStatus.DEFERRED and step.code not in _WAITED and step.at >= row.trying_since
        for step in row.history
    )
    return row.attempt > 1 and failures <= _MAX_FAILURES


def requeue_for_slot(attempt: Attempt, later: LaterSlotError, ports: SendingServices) -> None:
    """Record when the mail is to be sent, and queue it for that time.

    A mail whose slot lies after its deadline is looked at once more before that.

    Raises:
        NotRecordedError: storage does not answer.
        MailKnownError: the delivery log knows the mail already, so its row decides what is done.
    """
    now = ports.system.now()
    before = attempt.delivery
    end = deadline(before.counted_since(now), attempt.request.expires_at)
    wanted = now + later.wait
    again = before_end(end, wanted, now)
    if again is None:
        claim_unless_claimed(attempt, ports)
        record_failure(attempt, expired(end, later), ports)
        return
    if before.slot is None:
        ports.requests.keep(before.tenant_id, before.message_id, attempt.text)
    row = before.moved(
        DeliveryStatus.DEFERRED,
        now,
        problem=as_record(later, ports.system),
        next_attempt_at=again,
        slot=later.slot,
        ends_at=end,
        from_address=attempt.from_address,
        attempt=before.attempt - 1,
    )
    if attempt.claimed:
        write_outcome(row, ports, attempt.claim_id)
    elif persist(lambda: ports.deliveries.add(row), ports.system):
        announce(row)
    else:
        raise MailKnownError
    wait = max(again - now, timedelta(0))
    if again == wanted:
        in_line = later.slot is not None and not later.slot.inserted
        slot = later.slot if in_line and end - again > _NEAR_END else None
        ports.outbox.put(next_message(row, slot), visible_after(wait))
    else:
        # There is nothing to wait for in a worker after the last look.
        ports.outbox.put(next_message(row), wait)
