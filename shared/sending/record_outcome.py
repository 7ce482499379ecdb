"""Record a mail's outcome in an order that survives a crash.

First the stored request, then the row that refers to it, then the queue message for the next attempt, and
only then is this message completed.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.deliveries.delivery import MAYBE_ACCEPTED, Delivery
from shared.deliveries.requeue import next_message, requeue_message
from shared.deliveries.status import DeliveryStatus
from shared.errors import (
    ExpiredError,
    InvalidInputError,
    OutcomeUnknownError,
    ProblemError,
    TransientError,
)
from shared.sending.draft_removal import give_up
from shared.sending.errors import THROTTLED_CODES, ThrottledError
from shared.sending.expiry import expired
from shared.sending.persist import persist
from shared.sending.rate_limit.slots import visible_after
from shared.sending.refused_recipient import name_recipient
from shared.sending.refused_sender import sender_is_refused
from shared.sending.retry_policy import decide_retry
from shared.settings.update import as_record, record_sender_failure
from shared.telemetry import Event, log_event, log_failed_step

if TYPE_CHECKING:
    from datetime import datetime

    from shared.deliveries.slot import Slot
    from shared.sending.attempt import Attempt
    from shared.sending.ports import SendingServices
    from shared.sending.retry_policy import AttemptContext, RetryDecision
    from shared.settings.sender import Sender

_EVENTS = {
    DeliveryStatus.ACCEPTED: (Event.MAIL_ACCEPTED, logging.INFO),
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
_AT_MICROSOFT365 = DeliveryStatus.WAITING_FOR_MICROSOFT365
#: The longest time for which a storage queue hides a message.
_MAX_DELAY = timedelta(days=7)
_PAUSED = (Event.MAIL_PAUSED, logging.INFO)
#: Statuses that last until a person acts.
_STANDING = frozenset({DeliveryStatus.WAITING_FOR_CONSENT, DeliveryStatus.WAITING_FOR_OPERATOR})
_IN_DOUBT = frozenset({DeliveryStatus.UNKNOWN, DeliveryStatus.VERIFYING})
#: Statuses after which an unsent draft is not needed.
_NEVER_SENT = frozenset({DeliveryStatus.REJECTED, DeliveryStatus.INVALID, DeliveryStatus.EXPIRED})


def record_failure(attempt: Attempt, error: ProblemError, ports: SendingServices) -> None:
    """Record why the mail was not sent, and schedule its next attempt, if any."""
    error = name_recipient(error, attempt.request)
    refused = sender_is_refused(attempt, error, ports)
    slot = _slot_of_retry(attempt, error, ports)
    situation = replace(attempt.failed(error, ports), sender_refused=refused)
    verdict = decide_retry(error, situation)
    before = attempt.delivery
    if verdict.status in _STANDING and attempt.mailbox and attempt.mailbox.token_error is error:
        _record_standing(attempt.mailbox.sender, error, ports)
    if verdict.keeps_request:
        ports.requests.keep(before.tenant_id, before.message_id, attempt.text)
    row = before.moved(
        verdict.status,
        situation.now,
        problem=as_record(_reason(attempt, error, verdict, situation), ports.system),
        request_id=error.request_id,
        maybe_sent=situation.maybe_sent,
        next_attempt_at=verdict.next_attempt_at,
        slot=slot or (None if verdict.counts else before.slot),
        ends_at=situation.deadline if verdict.status is DeliveryStatus.DEFERRED else None,
        from_address=attempt.from_address,
        attempt=before.attempt if verdict.counts else before.attempt - 1,
        doubt=None if verdict.forgets_doubt else before.doubt,
        waited_for_sender=before.waited_for_sender or verdict.status is _AT_MICROSOFT365,
        fields=error.fields if isinstance(error, InvalidInputError) else (),
    )
    if verdict.status is _AT_MICROSOFT365:
        _wake_at_expiry(attempt, situation.now, ports)
    write_outcome(row, ports, attempt.claim_id)
    if situation.maybe_sent:
        _warn_of_repeat(row)
    if verdict.next_attempt_at is not None:
        # A look-up of the mail happens at its time, and not before.
        wait = max(verdict.next_attempt_at - situation.now, timedelta(0))
        early = slot is not None and situation.first_look is None
        ports.outbox.put(next_message(row), visible_after(wait) if early else wait)
    if verdict.status in _NEVER_SENT:
        give_up(attempt, ports)


def _wake_at_expiry(attempt: Attempt, now: datetime, ports: SendingServices) -> None:
    """Process a waiting mail when its time is over, which ends its wait.

    The message is for no attempt, so no attempt until then supersedes it.
    """
    expires_at = attempt.request.expires_at
    if expires_at is not None:
        row = attempt.delivery
        note = requeue_message(row.tenant_id, row.message_id)
        ports.outbox.put(note, min(expires_at - now, _MAX_DELAY))


def _slot_of_retry(attempt: Attempt, error: ProblemError, ports: SendingServices) -> Slot | None:
    """Take a slot for the retry of a mail that Graph refused for its rate."""
    if attempt.mailbox is None or not isinstance(error, ThrottledError):
        return None
    try:
        later = ports.throttle.slot_after_refusal(attempt.mailbox.sender)
    except TransientError:
        return None
    error.retry_after = later.wait
    return later.slot


def _warn_of_repeat(row: Delivery) -> None:
    log_event(
        Event.MAIL_WARNING,
        level=logging.WARNING,
        tenant_id=row.tenant_id,
        message_id=row.message_id,
        correlation_id=row.correlation_id,
        problem=MAYBE_ACCEPTED,
    )


def _record_standing(sender: Sender, error: ProblemError, ports: SendingServices) -> None:
    """Record in the settings a problem that concerns every mail."""
    try:
        stands = ports.settings.load(sender.tenant_id).problem
        if stands is None or stands.code != error.code:
            record_sender_failure(
                ports.settings, sender.tenant_id, sender.consent.generation, error, ports.system
            )
    except ProblemError as missed:
        log_failed_step("note_failure", missed.code, tenant_id=sender.tenant_id)


def _reason(
    attempt: Attempt, error: ProblemError, verdict: RetryDecision, situation: AttemptContext
) -> ProblemError:
    """Return the problem of the outcome, and where to look for the mail.

    The outcome's problem takes precedence over the last error.
    """
    if verdict.status in _IN_DOUBT or isinstance(error, OutcomeUnknownError):
        return OutcomeUnknownError("outcome_unknown", request_id=error.request_id, **_where_to_look(attempt))
    if verdict.status is DeliveryStatus.EXPIRED and not isinstance(error, ExpiredError):
        return expired(situation.deadline, error)
    return error


def _where_to_look(attempt: Attempt) -> dict[str, str]:
    """Name the mailbox that has the copy.

    A draft leaves one even if the mail wants none.
    """
    if not attempt.request.save_to_sent_items and not attempt.drafted:
        return {"no_copy": "yes"}
    return {"copy_in": attempt.mailbox.sender.mailbox_address} if attempt.mailbox else {}


def write_outcome(row: Delivery, ports: SendingServices, claim_id: str | None = None) -> None:
    """Write the outcome over the claim.

    If the claim was lost, another worker reports the outcome.

    Raises:
        NotRecordedError: storage does not respond.
    """
    written = persist(lambda: ports.deliveries.save(row), ports.system)
    if written is None and claim_id is not None:
        # An earlier write of this worker may have been carried out without a response.
        known = ports.deliveries.find(row.tenant_id, row.message_id)
        if known is not None and known.own_claim == claim_id:
            mine = replace(row, etag=known.etag, stored=known.stored)
            written = persist(lambda: ports.deliveries.save(mine), ports.system)
    if written is None:
        log_event(
            Event.MAIL_CONFLICT, level=logging.ERROR, tenant_id=row.tenant_id, message_id=row.message_id
        )
    else:
        log_outcome(row)


def log_outcome(row: Delivery, **facts: str) -> None:
    """Log the current state of a row, and parameters of its problem."""
    event, level = _PAUSED if row.paused_since is not None else _EVENTS[row.status]
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
        seconds_to_slot=_seconds_to_slot(row),
        request_id=row.history[-1].request_id,
        **facts,
    )


def _seconds_to_slot(row: Delivery) -> int | None:
    """Return how long the mail waits for its slot; an alert ignores it.

    While the pace is learned, a refused mail has no slot yet: it waits for the end of the pause.
    """
    waits = row.slot is not None or (row.problem is not None and row.problem.code in THROTTLED_CODES)
    if row.status is not DeliveryStatus.DEFERRED or not waits or row.next_attempt_at is None:
        return None
    return (row.next_attempt_at - row.updated_at) // timedelta(seconds=1)
