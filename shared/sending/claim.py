"""Claim a mail, so that one worker only sends it, and only once."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING

from shared.deliveries.delivery import MAX_WAIT, MAYBE_ACCEPTED, Delivery
from shared.deliveries.requeue import is_superseded, next_attempt_message
from shared.deliveries.status import IN_PROGRESS, SCHEDULED, DeliveryStatus
from shared.errors import TransientError
from shared.sending.attempt import first_row
from shared.sending.conflict import WAIT_FOR_OTHER, record_conflict
from shared.sending.hand_over import claim_new
from shared.sending.record_warnings import log_possible_duplicate
from shared.sending.restart import may_restart
from shared.sending.storage_outage import persist
from shared.telemetry import Event, log_mail_event

if TYPE_CHECKING:
    from shared.mail.message import MailRequest
    from shared.sending.attempt import Attempt, QueuedMail
    from shared.sending.ports import SendingServices

#: The delay of a message if another version of the app wrote the row in a form that this version cannot read.
WAIT_FOR_OTHER_VERSION = timedelta(minutes=5)


class ClaimState(Enum):
    """What a row means for a worker that wants to send the mail."""

    #: The mail may be claimed and sent.
    FREE = auto()
    #: The mail may be claimed, but a worker that crashed may have sent it.
    INTERRUPTED = auto()
    #: Another worker is sending the mail.
    HELD = auto()
    #: The mail is to be tried later.
    EARLY = auto()
    #: The mail has a final status.
    DONE = auto()
    #: A later queue message exists for the mail.
    SUPERSEDED = auto()
    #: Another mail has the same id.
    OTHER_CONTENT = auto()
    #: Another version of the app wrote the row, and this version cannot read it.
    OTHER_VERSION = auto()
    #: Another installation is sending the mail.
    OTHER_INSTALLATION = auto()


#: The problem codes for rows that must not be changed here.
_PROBLEM_OF_OTHERS_ROW = {
    ClaimState.OTHER_VERSION: "written_by_other_version",
    ClaimState.OTHER_INSTALLATION: "other_installation",
}
#: The meaning of statuses that do not depend on the content.
_BY_STATUS = {
    DeliveryStatus.INVALID: ClaimState.FREE,
    DeliveryStatus.OTHER_VERSION: ClaimState.OTHER_VERSION,
}
#: The tolerated difference between the clocks of the queue and of this machine.
_CLOCK_SKEW = timedelta(seconds=10)


def evaluate_claim(
    known: Delivery, fingerprint: str, queue_id: str, now: datetime, unused: frozenset[str] = frozenset()
) -> ClaimState:
    """Decide from a row whether its mail may be sent. Pure.

    `unused` are claims with which nothing was sent.

    Azure redelivers a message only after a crash or failure. So a claim of the same message (`queue_id`) is
    stale, even if it has not expired.
    """
    if known.status in _BY_STATUS:
        return _BY_STATUS[known.status]
    if known.fingerprint != fingerprint:
        return ClaimState.OTHER_CONTENT
    if _claim_in_question(known) in unused:
        return ClaimState.FREE
    if known.status.final:
        return ClaimState.FREE if _request_was_lost(known) else ClaimState.DONE
    if known.status in SCHEDULED and known.next_attempt_at:
        wait = known.next_attempt_at - now
        if _CLOCK_SKEW < wait <= MAX_WAIT:
            return ClaimState.EARLY
    return _state_of_claim(known, queue_id, now)


def _state_of_claim(known: Delivery, queue_id: str, now: datetime) -> ClaimState:
    if known.claimed_by is not None and known.held_by_another(queue_id, now):
        return ClaimState.HELD
    return ClaimState.INTERRUPTED if known.may_have_been_sent else ClaimState.FREE


def _request_was_lost(known: Delivery) -> bool:
    """Return whether the mail ended because its stored request was lost.

    Then it can be sent now, because this message has the request again.
    """
    if known.status is not DeliveryStatus.EXPIRED or known.uncertain_send is not None:
        return False
    return known.problem is not None and known.problem.code == "request_not_kept"


def _claim_in_question(known: Delivery) -> str | None:
    """Return the id of the claim that may have sent the mail, if any."""
    if known.status is DeliveryStatus.SENDING:
        return known.own_claim
    return known.uncertain_send.claim_id if known.uncertain_send else None


def claim(attempt: Attempt, ports: SendingServices) -> bool:
    """Claim the mail; return False if this message needs no more work.

    Raises:
        NotRecordedError, TransientError: storage does not respond.
    """
    request, now = attempt.request, ports.system.now()
    known = ports.deliveries.find(request.tenant_id, request.message_id)
    if known is None:
        if claim_new(attempt, ports):
            return True
        raise TransientError("storage_unavailable", service="tables")
    state = claim_state_of(known, attempt, ports)
    if state in (ClaimState.FREE, ClaimState.INTERRUPTED):
        again = next_row(known, request, now, attempt.unused_claims)
        if state is ClaimState.INTERRUPTED:
            again = replace(again, uncertain_send=known.with_uncertain_send(now).uncertain_send)
        if attempt.mail.maybe_accepted:
            again = replace(again, warnings=again.warnings_with(MAYBE_ACCEPTED, now))
        claimed = replace(again, installation=ports.installation).with_claim(
            attempt.queue_id, now, attempt.claim_id
        )
        attempt.claim_tried = True
        mine = persist(lambda: ports.deliveries.save(claimed), ports.system)
        if mine:
            attempt.continue_with_claim(mine)
            if mine.warnings != known.warnings:
                log_possible_duplicate(mine)
            return True
        state = ClaimState.HELD
    skip_message(state, known, attempt.mail, ports)
    return False


def claim_state_of(known: Delivery, attempt: Attempt, ports: SendingServices) -> ClaimState:
    """Return what a row, and the memory of this process, mean for an attempt."""
    unused = attempt.unused_claims
    if is_superseded(known, attempt.mail.requeued_for, attempt.queue_id):
        return ClaimState.SUPERSEDED
    if known.status is DeliveryStatus.SENDING and known.installation not in (None, ports.installation):
        return ClaimState.OTHER_INSTALLATION
    if known.own_claim not in unused and ports.claims.holds(known.own_claim):
        # The queue has redelivered the message while its mail is still being processed.
        return ClaimState.HELD
    if attempt.mail.maybe_new and may_restart(known):
        return ClaimState.FREE
    fingerprint = attempt.request.fingerprint(known.fingerprint)
    return evaluate_claim(known, fingerprint, attempt.queue_id, ports.system.now(), unused)


def next_row(
    known: Delivery, request: MailRequest, now: datetime, unused: frozenset[str] = frozenset()
) -> Delivery:
    """Return the row for another attempt of a mail, or for a corrected mail.

    An uncertain send is removed if it belongs to an `unused` claim, with which nothing was sent.
    """
    was_not_sent = known.uncertain_send is not None and known.uncertain_send.claim_id in unused
    first = first_row(request, now)
    # A conflict with the earlier content is over once this content replaces it.
    replaces = request.fingerprint(known.fingerprint) != known.fingerprint
    # If so, the earlier attempts continue, with their time limit.
    continues = known.status in IN_PROGRESS or was_not_sent
    return replace(
        first,
        queued_at=known.queued_at,
        attempt=known.attempt + 1,
        trying_since=known.trying_since if continues else now,
        paused_for=known.total_pause(now) + known.overdue(now) if continues else timedelta(0),
        uncertain_send=None if was_not_sent else known.uncertain_send,
        requeued_for=known.requeued_for,
        # A slot belongs to a mail that waits for it; a mail that begins again gets a new one.
        slot=known.slot if continues else None,
        # If the same mail is queued again without a queue for its outcome, the queue that it named before
        # remains.
        outcome_queue=first.outcome_queue or (None if replaces else known.outcome_queue),
        history=known.history,
        conflict_at=None if replaces else known.conflict_at,
        warnings=known.warnings,
        without_key=known.without_key,
        waited_for_sender=known.waited_for_sender,
        outcome_count=known.outcome_count,
        unreported_outcomes=known.unreported_outcomes,
        additions=known.additions,
        etag=known.etag,
        stored_status=known.stored_status,
    )


def skip_message(state: ClaimState, known: Delivery, mail: QueuedMail, ports: SendingServices) -> None:
    """Finish or requeue a message whose mail this worker must not send."""
    text = mail.message
    if state is ClaimState.HELD:
        ports.outbox.put(text, WAIT_FOR_OTHER)
        return
    if state in _PROBLEM_OF_OTHERS_ROW:
        theirs = known.installation
        log_mail_event(
            Event.OPERATOR_ERROR,
            known,
            level=logging.ERROR,
            problem=_PROBLEM_OF_OTHERS_ROW[state],
            theirs=theirs,
        )
        ports.outbox.put(text, WAIT_FOR_OTHER_VERSION)
        return
    if state is ClaimState.EARLY and known.next_attempt_at:
        # This may be the only message for the mail, so it is queued again.
        text = text if mail.requeued_for is None else next_attempt_message(known)
        ports.outbox.put(text, known.next_attempt_at - ports.system.now())
        return
    if state in (ClaimState.DONE, ClaimState.SUPERSEDED):
        log_mail_event(Event.MAIL_DUPLICATE_IGNORED, known)
        return
    record_conflict(known, mail.request.fingerprint(), text, ports)
