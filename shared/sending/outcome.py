"""Keep what became of a mail, in the order that a crash can't break.

The kept request before the row that relies on it, the row before the queue message for the next
attempt, and all of them before this message is completed.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.deliveries.delivery import MAYBE_ACCEPTED, Delivery, DeliveryStatus
from shared.deliveries.resume import next_message
from shared.errors import (
    ExpiredError,
    InvalidInputError,
    OutcomeUnknownError,
    ProblemError,
)
from shared.sending.draft_removal import give_up
from shared.sending.persist import persist
from shared.sending.refused_recipient import name_recipient
from shared.sending.verdict import decide, expired
from shared.settings.health import note_failure, note_missing_mailbox, standing
from shared.telemetry import Event, log_event, log_failed_step

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
_PAUSED = (Event.MAIL_PAUSED, logging.INFO)
#: What holds until somebody acts.
_STANDING = frozenset({DeliveryStatus.WAITING_FOR_CONSENT, DeliveryStatus.WAITING_FOR_OPERATOR})
_IN_DOUBT = frozenset({DeliveryStatus.UNKNOWN, DeliveryStatus.VERIFYING})
#: Graph's codes for a user whom it does not know. A mailbox that can't be used has others, and keeps its id.
_NO_SUCH_USER = frozenset({"ErrorInvalidUser", "Request_ResourceNotFound", "ResourceNotFound"})
#: Ends after which an unsent draft is of no use.
_NEVER_SENT = frozenset({DeliveryStatus.REJECTED, DeliveryStatus.INVALID, DeliveryStatus.EXPIRED})


def record_failure(attempt: Attempt, error: ProblemError, ports: Sending) -> None:
    """Keep why the mail was not sent, and arrange for its next attempt, if there is one."""
    error = name_recipient(error, attempt.request)
    situation = attempt.failed(error, ports)
    verdict = decide(error, situation)
    if verdict.status is DeliveryStatus.REJECTED and _lost_its_id(attempt, error, ports):
        verdict = decide(error, replace(situation, refusals=1))
    before = attempt.delivery
    if verdict.status in _STANDING and attempt.mailbox and attempt.mailbox.token_error is error:
        _note_standing(attempt.mailbox.sender, error, ports)
    if verdict.keeps_request:
        ports.requests.keep(before.tenant_id, before.message_id, attempt.text)
    row = before.moved(
        verdict.status,
        situation.now,
        problem=standing(_reason(attempt, error, verdict, situation), ports.world),
        request_id=error.request_id,
        maybe_sent=situation.maybe_sent,
        next_attempt_at=verdict.next_attempt_at,
        from_address=attempt.from_address,
        attempt=before.attempt if verdict.counts else before.attempt - 1,
        doubt=None if verdict.forgets_doubt else before.doubt,
        fields=error.fields if isinstance(error, InvalidInputError) else (),
    )
    write_outcome(row, ports, attempt.claim_id)
    if situation.maybe_sent:
        _warn_of_repeat(row)
    if verdict.next_attempt_at is not None:
        ports.outbox.put(next_message(row), verdict.next_attempt_at - situation.now)
    if verdict.status in _NEVER_SENT:
        give_up(attempt, ports)


def _lost_its_id(attempt: Attempt, error: ProblemError, ports: Sending) -> bool:
    """Say whether the mailbox may be found by its address, as Graph does not know its object id any more."""
    sender = attempt.mailbox.sender if attempt.mailbox else None
    unknown = error.facts.get("graph_code") in _NO_SUCH_USER
    if sender is None or not unknown or not sender.is_found_by_id:
        return False
    note_missing_mailbox(ports.settings, sender.tenant_id, sender.consent.generation)
    return True


def _warn_of_repeat(row: Delivery) -> None:
    log_event(
        Event.MAIL_WARNING,
        level=logging.WARNING,
        tenant_id=row.tenant_id,
        message_id=row.message_id,
        correlation_id=row.correlation_id,
        problem=MAYBE_ACCEPTED,
    )


def _note_standing(sender: Sender, error: ProblemError, ports: Sending) -> None:
    """Have the settings show what concerns every mail, if they can be written."""
    try:
        stands = ports.settings.load(sender.tenant_id).problem
        if stands is None or stands.code != error.code:
            note_failure(ports.settings, sender.tenant_id, sender.consent.generation, error, ports.world)
    except ProblemError as missed:
        log_failed_step("note_failure", missed.code, tenant_id=sender.tenant_id)


def _reason(attempt: Attempt, error: ProblemError, verdict: Verdict, situation: Situation) -> ProblemError:
    """Name the end rather than the last obstacle before it, and where a mail in doubt can be looked for."""
    if verdict.status in _IN_DOUBT or isinstance(error, OutcomeUnknownError):
        return OutcomeUnknownError("outcome_unknown", request_id=error.request_id, **_where_to_look(attempt))
    if verdict.status is DeliveryStatus.EXPIRED and not isinstance(error, ExpiredError):
        return expired(situation.deadline, error)
    return error


def _where_to_look(attempt: Attempt) -> dict[str, str]:
    """Name the mailbox that holds the copy; a draft leaves one whatever the mail asks for."""
    if not attempt.request.save_to_sent_items and not attempt.drafted:
        return {"no_copy": "yes"}
    return {"copy_in": attempt.mailbox.sender.mailbox_address} if attempt.mailbox else {}


def write_outcome(row: Delivery, ports: Sending, claim_id: str | None = None) -> None:
    """Write the outcome over the claim; a claim that was lost is another worker's to report.

    Raises:
        NotRecordedError: storage does not answer.
    """
    written = persist(lambda: ports.deliveries.save(row), ports.world)
    if written is None and claim_id is not None:
        # An earlier write of this worker may have been carried out without an answer.
        known = ports.deliveries.find(row.tenant_id, row.message_id)
        if known is not None and known.own_claim == claim_id:
            mine = replace(row, etag=known.etag, stored=known.stored)
            written = persist(lambda: ports.deliveries.save(mine), ports.world)
    if written is None:
        log_event(
            Event.MAIL_CONFLICT, level=logging.ERROR, tenant_id=row.tenant_id, message_id=row.message_id
        )
    else:
        announce(row)


def announce(row: Delivery, **facts: str) -> None:
    """Log what a row says by now, and facts of its problem."""
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
        request_id=row.history[-1].request_id,
        **facts,
    )
