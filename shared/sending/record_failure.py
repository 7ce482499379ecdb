"""Record why a mail was not sent, in an order that survives a crash.

First the request is stored, then the row that refers to it, then the queue message for the next attempt. The
current message is completed only after that.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.deliveries.requeue import next_attempt_message, requeue_message
from shared.deliveries.status import NOT_SENT, WAITING_FOR_PERSON, DeliveryStatus
from shared.deliveries.uncertain_send import UncertainSend
from shared.errors import (
    ExpiredError,
    InvalidInputError,
    OutcomeUnknownError,
    ProblemError,
    RefusedRecipientError,
    TransientError,
)
from shared.sending.backoff_and_deadline import expired_error
from shared.sending.draft_removal import remove_drafts_of_unsent_mail
from shared.sending.errors import ThrottledError
from shared.sending.rate_limit.slots import visible_after
from shared.sending.reconcile import FIRST_CHECK, RECONCILE_WINDOW
from shared.sending.record_outcome import write_outcome
from shared.sending.record_warnings import log_possible_duplicate
from shared.sending.refused_sender import sender_is_refused
from shared.sending.retry_policy import AttemptContext, count_refusals, decide_retry
from shared.settings.update import active_problem, record_sender_failure
from shared.telemetry import log_failed_step

if TYPE_CHECKING:
    from datetime import datetime

    from shared.deliveries.slot import Slot
    from shared.mail.message import MailRequest
    from shared.sending.attempt import Attempt
    from shared.sending.mailbox import Mailbox
    from shared.sending.ports import SendingServices
    from shared.sending.retry_policy import RetryDecision
    from shared.settings.sender import Sender

_AT_MICROSOFT365 = DeliveryStatus.WAITING_FOR_MICROSOFT365
#: The longest delay of a message in a storage queue.
_MAX_DELAY = timedelta(days=7)
#: How many domains a problem names. More of them do not help the reader.
_MAX_DOMAINS = 10
_OUTCOME_UNCERTAIN = frozenset({DeliveryStatus.UNKNOWN, DeliveryStatus.VERIFYING})


def record_failure(attempt: Attempt, error: ProblemError, ports: SendingServices) -> None:
    """Record why the mail was not sent, and schedule its next attempt, if any."""
    error = _name_recipient(error, attempt.request)
    refused = sender_is_refused(attempt, error, ports)
    slot = _slot_of_retry(attempt, error, ports)
    context = replace(_context_of(attempt, error, ports), sender_refused=refused)
    decision = decide_retry(error, context)
    maybe_accepted = _is_refusal(attempt, error) and not context.may_look_up
    before = attempt.delivery
    if decision.status in WAITING_FOR_PERSON and attempt.mailbox and attempt.mailbox.token_error is error:
        _record_in_settings(attempt.mailbox.sender, error, ports)
    if decision.keeps_request:
        ports.requests.save(before.tenant_id, before.message_id, attempt.text)
    row = before.transition(
        decision.status,
        context.now,
        problem=active_problem(_reason(attempt, error, decision, context), ports.system),
        request_id=error.request_id,
        maybe_sent=maybe_accepted,
        next_attempt_at=decision.next_attempt_at,
        slot=slot or (None if decision.counts_as_failure else before.slot),
        attempts_end_at=context.deadline if decision.status is DeliveryStatus.DEFERRED else None,
        from_address=attempt.from_address,
        attempt=before.attempt if decision.counts_as_failure else before.attempt - 1,
        uncertain_send=None if decision.ignores_uncertain_send else before.uncertain_send,
        waited_for_sender=before.waited_for_sender or decision.status is _AT_MICROSOFT365,
        fields=error.fields if isinstance(error, InvalidInputError) else (),
    )
    if decision.status is _AT_MICROSOFT365:
        _queue_at_expiry(attempt, context.now, ports)
    write_outcome(row, ports, attempt.claim_id)
    if maybe_accepted:
        log_possible_duplicate(row)
    if decision.next_attempt_at is not None:
        # A worker that receives the message early waits for the slot, but not for the time of a look-up.
        wait = max(decision.next_attempt_at - context.now, timedelta(0))
        early = slot is not None and context.first_check is None
        ports.outbox.put(next_attempt_message(row), visible_after(wait) if early else wait)
    if decision.status in NOT_SENT:
        remove_drafts_of_unsent_mail(attempt, ports)


def _context_of(attempt: Attempt, error: ProblemError, ports: SendingServices) -> AttemptContext:
    """Return what the retry decision depends on.

    The send is uncertain after an error that leaves the outcome unknown. It is also uncertain if Graph
    refused the mail but may have sent it, and the mail can be looked up before it is retried.
    """
    now = ports.system.now()
    refused = _is_refusal(attempt, error)
    uncertain_send = attempt.delivery.uncertain_send
    may_look_up = attempt.may_look_up(
        refused=refused or (uncertain_send is not None and uncertain_send.refused)
    )
    first_check = None
    if refused and may_look_up:
        first_check = RECONCILE_WINDOW if attempt.sent_as_draft else FIRST_CHECK
    is_uncertain = isinstance(error, OutcomeUnknownError) or (refused and may_look_up)
    if is_uncertain and uncertain_send is None:
        uncertain_send = _uncertain_send(attempt.mailbox, now, refused=refused)
        attempt.delivery = replace(attempt.delivery, uncertain_send=uncertain_send)
    return AttemptContext(
        now,
        attempt.delivery.attempt,
        attempt.delivery.counted_since(now),
        attempt.request.expires_at,
        ports.system.jitter(),
        uncertain_since=uncertain_send.since if uncertain_send else None,
        may_look_up=may_look_up,
        first_check=first_check,
        # The setting is read only if it is needed, so that a mail is stored even while other settings are
        # invalid.
        resends=isinstance(error, OutcomeUnknownError) and ports.resends_unknown,
        refusals=count_refusals(error, attempt.delivery, now),
    )


def _is_refusal(attempt: Attempt, error: ProblemError) -> bool:
    """Return whether Graph refused the mail, but may have sent it."""
    return attempt.mailbox is not None and attempt.mailbox.refusal is error


def _uncertain_send(mailbox: Mailbox | None, now: datetime, *, refused: bool) -> UncertainSend:
    consent_version = mailbox.sender.consent.version if mailbox else None
    owner = mailbox.owner if mailbox and refused else None
    return UncertainSend(now, consent_version, refused=refused, mailbox=owner)


def _name_recipient(error: ProblemError, request: MailRequest) -> ProblemError:
    """Add the refused addresses, or the possible domains, to a refusal.

    Exchange's text can have any addresses, so only recipients of the mail are named.
    """
    if not isinstance(error, RefusedRecipientError):
        return error
    addresses = {each.address.lower(): each.address for each in request.recipients}
    named = [addresses[name] for name in error.mentioned if name in addresses]
    if len(addresses) == 1:
        named = list(addresses.values())
    if named:
        return error.with_params(recipient=", ".join(dict.fromkeys(named)))
    domains = sorted({address.rpartition("@")[2] for address in addresses})
    more = "" if len(domains) <= _MAX_DOMAINS else " and others"
    return error.with_params(domains=", ".join(domains[:_MAX_DOMAINS]) + more)


def _queue_at_expiry(attempt: Attempt, now: datetime, ports: SendingServices) -> None:
    """Queue a message for a waiting mail at its `expiresAt`, which ends it.

    The message has no `requeued_for`, so it is processed even if the mail has another attempt by then.
    """
    expires_at = attempt.request.expires_at
    if expires_at is not None:
        row = attempt.delivery
        message = requeue_message(row.tenant_id, row.message_id)
        ports.outbox.put(message, min(expires_at - now, _MAX_DELAY))


def _slot_of_retry(attempt: Attempt, error: ProblemError, ports: SendingServices) -> Slot | None:
    """Reserve a slot for a mail that was refused for the mailbox's rate."""
    if attempt.mailbox is None or not isinstance(error, ThrottledError):
        return None
    try:
        later = ports.throttle.for_sender(attempt.mailbox.sender).slot_after_refusal()
    except TransientError:
        return None
    error.retry_after = later.wait
    return later.slot


def _record_in_settings(sender: Sender, error: ProblemError, ports: SendingServices) -> None:
    """Record a problem that concerns every mail of the tenant."""
    try:
        recorded = ports.settings.load(sender.tenant_id).problem
        if recorded is None or recorded.code != error.code:
            record_sender_failure(
                ports.settings, sender.tenant_id, sender.consent.version, error, ports.system
            )
    except ProblemError as missed:
        log_failed_step("note_failure", missed.code, tenant_id=sender.tenant_id)


def _reason(
    attempt: Attempt, error: ProblemError, decision: RetryDecision, context: AttemptContext
) -> ProblemError:
    """Return the problem to record for the outcome.

    For an unknown outcome or an expired mail this is not the last error.
    """
    if decision.status in _OUTCOME_UNCERTAIN or isinstance(error, OutcomeUnknownError):
        return OutcomeUnknownError(
            "outcome_unknown", request_id=error.request_id, **_where_to_search(attempt)
        )
    if decision.status is DeliveryStatus.EXPIRED and not isinstance(error, ExpiredError):
        return expired_error(context.deadline, error)
    return error


def _where_to_search(attempt: Attempt) -> dict[str, str]:
    """Return the parameters that name the mailbox in which to look for a copy.

    A draft leaves a copy even if the scheduler wanted none.
    """
    if not attempt.request.save_to_sent_items and not attempt.may_have_draft:
        return {"no_copy": "yes"}
    if attempt.mailbox is None:
        return {}
    return {"copy_in": attempt.mailbox.sender.mailbox_address}
