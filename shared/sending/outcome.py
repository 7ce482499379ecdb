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
from shared.deliveries.resume import MESSAGE_ID, resume_message
from shared.errors import ExpiredError, InvalidInputError, OutcomeUnknownError, ProblemError
from shared.sending.verdict import decide, expired
from shared.settings.health import note_failure, standing
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.sending.attempt import Attempt
    from shared.sending.dependencies import Sending
    from shared.sending.verdict import Situation, Verdict
    from shared.settings.sender import Sender

_EVENTS = {
    DeliveryStatus.ACCEPTED: (Event.MAIL_ACCEPTED, logging.INFO),
    DeliveryStatus.DEFERRED: (Event.MAIL_DEFERRED, logging.WARNING),
    DeliveryStatus.WAITING_FOR_CONSENT: (Event.MAIL_WAITING_FOR_CONSENT, logging.WARNING),
    DeliveryStatus.WAITING_FOR_OPERATOR: (Event.MAIL_WAITING_FOR_OPERATOR, logging.ERROR),
    DeliveryStatus.VERIFYING: (Event.MAIL_VERIFYING, logging.WARNING),
    DeliveryStatus.REJECTED: (Event.MAIL_REJECTED, logging.ERROR),
    DeliveryStatus.INVALID: (Event.MAIL_INVALID, logging.ERROR),
    DeliveryStatus.UNKNOWN: (Event.MAIL_OUTCOME_UNKNOWN, logging.ERROR),
    DeliveryStatus.EXPIRED: (Event.MAIL_EXPIRED, logging.ERROR),
}
#: What holds until somebody acts.
_STANDING = frozenset({DeliveryStatus.WAITING_FOR_CONSENT, DeliveryStatus.WAITING_FOR_OPERATOR})
#: Ends after which a half-made draft is of no use.
_NEVER_SENT = frozenset({DeliveryStatus.REJECTED, DeliveryStatus.INVALID, DeliveryStatus.EXPIRED})


def record_accepted(attempt: Attempt, request_id: str | None, ports: Sending) -> None:
    """Keep that Exchange took the mail; nothing that was kept of it is needed any more."""
    now = ports.world.now()
    row = attempt.delivery.moved(
        DeliveryStatus.ACCEPTED, now, request_id=request_id, doubt=None, from_address=attempt.from_address
    )
    _write(row, ports)
    if attempt.repeated:
        ports.requests.remove(row.tenant_id, row.message_id)
    if attempt.drafted:
        attempt.note(ports).remove()


def record_failure(attempt: Attempt, error: ProblemError, ports: Sending) -> None:
    """Keep why the mail was not sent, and arrange for its next attempt, if there is one."""
    situation = attempt.failed(error, ports)
    verdict = decide(error, situation)
    before = attempt.delivery
    if verdict.status in _STANDING and attempt.mailbox and attempt.mailbox.token_error is error:
        _note_standing(attempt.mailbox.sender, error, ports)
    if verdict.keeps_request:
        ports.requests.keep(before.tenant_id, before.message_id, attempt.text)
    row = before.moved(
        verdict.status,
        situation.now,
        problem=standing(_reason(error, verdict, situation), ports.world),
        request_id=error.request_id,
        next_attempt_at=verdict.next_attempt_at,
        from_address=attempt.from_address,
        attempt=before.attempt if verdict.counts else before.attempt - 1,
        doubt=None if verdict.forgets_doubt else before.doubt,
        fields=error.fields if isinstance(error, InvalidInputError) else (),
    )
    _write(row, ports)
    if verdict.next_attempt_at is not None:
        note = resume_message(row.tenant_id, row.message_id)
        ports.outbox.put(note, verdict.next_attempt_at - situation.now)
    if verdict.status in _NEVER_SENT:
        attempt.give_up_draft(ports)


def record_lost(
    tenant_id: str, message_id: str, ports: Sending, error: InvalidInputError | None = None
) -> None:
    """Keep that a mail was to be tried again whose request is not there any more, or can't be read."""
    known = ports.deliveries.find(tenant_id, message_id)
    if known is None or known.status.final:
        return
    end = DeliveryStatus.INVALID if error else DeliveryStatus.EXPIRED
    row = known.moved(
        DeliveryStatus.UNKNOWN if known.doubt else end,
        ports.world.now(),
        problem=standing(error or ExpiredError("request_not_kept"), ports.world),
    )
    _write(replace(row, fields=error.fields if error else ()), ports)


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


def _note_standing(sender: Sender, error: ProblemError, ports: Sending) -> None:
    """Have the settings show what concerns every mail, if they can be written."""
    try:
        stands = ports.settings.load(sender.tenant_id).problem
        if stands is None or stands.code != error.code:
            note_failure(ports.settings, sender.tenant_id, sender.consent.generation, error, ports.world)
    except ProblemError as missed:
        log_event(
            Event.REQUEST_FAILED,
            level=logging.WARNING,
            path="note_failure",
            problem=missed.code,
            tenant_id=sender.tenant_id,
        )


def _reason(error: ProblemError, verdict: Verdict, situation: Situation) -> ProblemError:
    """Name the end rather than the last obstacle before it."""
    if verdict.status is DeliveryStatus.UNKNOWN and not isinstance(error, OutcomeUnknownError):
        return OutcomeUnknownError("outcome_unknown", request_id=error.request_id)
    if verdict.status is DeliveryStatus.EXPIRED and not isinstance(error, ExpiredError):
        return expired(situation.deadline)
    return error


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
    tenant_id, message_id = found.get("tenantId"), found.get("messageId")
    named = isinstance(message_id, str) and MESSAGE_ID.fullmatch(message_id)
    return tenant_id.lower() if isinstance(tenant_id, str) else None, message_id if named else None
