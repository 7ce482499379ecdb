"""Write the outcome of an attempt to the mail's row, and log it."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.deliveries.status import DeliveryStatus
from shared.sending.errors import THROTTLED_CODES
from shared.sending.storage_outage import persist
from shared.telemetry import Event, log_mail_event

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.sending.ports import SendingServices

_EVENTS = {
    DeliveryStatus.DEFERRED: (Event.MAIL_DEFERRED, logging.WARNING),
    DeliveryStatus.WAITING_FOR_CONSENT: (Event.MAIL_WAITING_FOR_CONSENT, logging.WARNING),
    DeliveryStatus.WAITING_FOR_OPERATOR: (Event.MAIL_WAITING_FOR_OPERATOR, logging.ERROR),
    DeliveryStatus.WAITING_FOR_MICROSOFT365: (Event.MAIL_WAITING_FOR_MICROSOFT365, logging.WARNING),
    DeliveryStatus.VERIFYING: (Event.MAIL_VERIFYING, logging.WARNING),
    DeliveryStatus.REJECTED: (Event.MAIL_REJECTED, logging.ERROR),
    DeliveryStatus.INVALID: (Event.MAIL_INVALID, logging.ERROR),
    DeliveryStatus.UNKNOWN: (Event.MAIL_OUTCOME_UNKNOWN, logging.ERROR),
    DeliveryStatus.EXPIRED: (Event.MAIL_EXPIRED, logging.ERROR),
}
_PAUSED = (Event.MAIL_PAUSED, logging.INFO)


def write_outcome(row: Delivery, ports: SendingServices, claim_id: str | None = None) -> None:
    """Write the outcome into the row that this worker has claimed.

    If another worker has claimed the mail since, that worker records the outcome.

    Raises:
        NotRecordedError: storage does not respond.
    """
    written = persist(lambda: ports.deliveries.save(row), ports.system)
    if written is None and claim_id is not None:
        # The row may have changed by an earlier write of this worker to which the response was lost.
        known = ports.deliveries.find(row.tenant_id, row.message_id)
        if known is not None and known.own_claim == claim_id:
            mine = replace(row, etag=known.etag, stored_status=known.stored_status)
            written = persist(lambda: ports.deliveries.save(mine), ports.system)
    if written is None:
        log_mail_event(Event.MAIL_CONFLICT, row, level=logging.ERROR)
    else:
        log_outcome(row)


def log_outcome(row: Delivery, **params: str) -> None:
    """Log the status of a row, and parameters of its problem.

    Acceptance is logged by `record_accepted.py`.
    """
    event, level = _PAUSED if row.paused_since is not None else _EVENTS[row.status]
    log_mail_event(
        event,
        row,
        level=level,
        correlation_id=row.correlation_id,
        attempt=row.attempt,
        problem=row.problem.code if row.problem else None,
        who_acts=row.problem.problem.who_acts if row.problem else None,
        next_attempt_at=row.next_attempt_at,
        seconds_to_slot=_seconds_to_slot(row),
        request_id=row.history[-1].request_id,
        **params,
    )


def _seconds_to_slot(row: Delivery) -> int | None:
    """Return how long the mail waits for its slot; None if it does not.

    The alert about delayed mails ignores mails that wait for their slot. While the app learns the pace of a
    mailbox, a refused mail has no slot, and waits until the end of the pause.
    """
    waits = row.slot is not None or (row.problem is not None and row.problem.code in THROTTLED_CODES)
    if row.status is not DeliveryStatus.DEFERRED or not waits or row.next_attempt_at is None:
        return None
    return (row.next_attempt_at - row.updated_at) // timedelta(seconds=1)
