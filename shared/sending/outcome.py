"""Keep what became of a mail, in the order that a crash can't break.

The kept request before the row that relies on it, the row before the queue message for the next
attempt, and all of them before this message is completed.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.deliveries.delivery import Delivery, DeliveryStatus
from shared.deliveries.resume import resume_message
from shared.errors import ExpiredError, InvalidInputError
from shared.sending.request import MESSAGE_ID
from shared.sending.verdict import Situation, decide
from shared.settings.health import standing
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from datetime import datetime

    from shared.errors import ProblemError
    from shared.sending.dependencies import Sending

_EVENTS = {
    DeliveryStatus.ACCEPTED: (Event.MAIL_ACCEPTED, logging.INFO),
    DeliveryStatus.DEFERRED: (Event.MAIL_DEFERRED, logging.WARNING),
    DeliveryStatus.WAITING_FOR_CONSENT: (Event.MAIL_WAITING_FOR_CONSENT, logging.WARNING),
    DeliveryStatus.WAITING_FOR_OPERATOR: (Event.MAIL_WAITING_FOR_OPERATOR, logging.ERROR),
    DeliveryStatus.REJECTED: (Event.MAIL_REJECTED, logging.ERROR),
    DeliveryStatus.INVALID: (Event.MAIL_INVALID, logging.ERROR),
    DeliveryStatus.UNKNOWN: (Event.MAIL_OUTCOME_UNKNOWN, logging.ERROR),
    DeliveryStatus.EXPIRED: (Event.MAIL_EXPIRED, logging.ERROR),
}


def record_accepted(delivery: Delivery, request_id: str, ports: Sending) -> None:
    """Keep that Exchange took the mail; its request is not needed any more."""
    now = ports.world.now()
    _write(delivery.moved(DeliveryStatus.ACCEPTED, now, request_id=request_id), ports)
    if delivery.attempt > 1:
        ports.requests.remove(delivery.tenant_id, delivery.message_id)


def record_failure(
    delivery: Delivery, text: bytes, expires_at: datetime | None, error: ProblemError, ports: Sending
) -> None:
    """Keep why the mail was not sent, and arrange for its next attempt, if there is one."""
    now = ports.world.now()
    situation = Situation(now, delivery.attempt, delivery.trying_since, expires_at, ports.world.jitter())
    verdict = decide(error, situation)
    if verdict.status is DeliveryStatus.EXPIRED and not isinstance(error, ExpiredError):
        error = ExpiredError("expired", moment=f"{situation.deadline:%Y-%m-%d %H:%M} UTC")
    if verdict.keeps_request:
        ports.requests.keep(delivery.tenant_id, delivery.message_id, text)
    row = delivery.moved(
        verdict.status,
        now,
        problem=standing(error, ports.world),
        request_id=error.request_id,
        next_attempt_at=verdict.next_attempt_at,
    )
    if isinstance(error, InvalidInputError):
        row = replace(row, fields=error.fields)
    _write(row, ports)
    if verdict.next_attempt_at is not None:
        note = resume_message(delivery.tenant_id, delivery.message_id)
        ports.outbox.put(note, verdict.next_attempt_at - now)


def record_unreadable(text: bytes, queue_id: str, error: InvalidInputError, ports: Sending) -> None:
    """Keep a message that breaks the contract, under the names that it gives itself, if any."""
    now = ports.world.now()
    tenant_id, message_id = _names_in(text)
    row = Delivery(
        tenant_id=tenant_id if tenant_id in ports.allowed_tenants else ports.home_tenant,
        message_id=message_id or f"unreadable-{queue_id}",
        status=DeliveryStatus.INVALID,
        queued_at=now,
        updated_at=now,
        trying_since=now,
        fields=error.fields,
    ).moved(DeliveryStatus.INVALID, now, problem=standing(error, ports.world))
    if ports.deliveries.add(replace(row, fields=error.fields)) is None:
        log_event(
            Event.MAIL_CONFLICT, level=logging.ERROR, tenant_id=row.tenant_id, message_id=row.message_id
        )
    else:
        _announce(row)


def _write(row: Delivery, ports: Sending) -> None:
    """Write the outcome over the claim; a claim that was lost is another worker's to report."""
    if ports.deliveries.save(row) is None:
        log_event(
            Event.MAIL_CONFLICT, level=logging.ERROR, tenant_id=row.tenant_id, message_id=row.message_id
        )
    else:
        _announce(row)


def _announce(row: Delivery) -> None:
    event, level = _EVENTS[row.status]
    log_event(
        event,
        level=level,
        tenant_id=row.tenant_id,
        message_id=row.message_id,
        correlation_id=row.correlation_id,
        attempt=row.attempt,
        problem=row.problem.code if row.problem else None,
        who_acts=row.problem.problem.who_acts if row.problem else None,
        next_attempt_at=row.next_attempt_at,
        request_id=row.history[-1].request_id,
    )


def _names_in(text: bytes) -> tuple[str | None, str | None]:
    """Return tenant id and message id of a broken message, as far as they can serve as names."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(found, dict):
        return None, None
    tenant_id, message_id = str(found.get("tenantId")), str(found.get("messageId"))
    return tenant_id.lower(), message_id if MESSAGE_ID.fullmatch(message_id) else None
