"""Record the mail of a message whose processing failed five times.

The host puts such a message into the poison queue. Its mail waits for the operator, like other mails that
can't be sent: the timer releases it, and an admin can retry it. If the processing fails again and again, the
mail ends after a day.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.deliveries.requeue import is_superseded
from shared.deliveries.status import WAITING, DeliveryStatus
from shared.errors import ConfigurationError, ConflictError, ProblemError, TransientError
from shared.sending.attempt import first_row
from shared.sending.backoff_and_deadline import MAX_RETRY_AGE
from shared.sending.claim import ClaimState, evaluate_claim, next_row, skip_message
from shared.sending.queued import decode_if_possible, find_mail, message_key
from shared.sending.restart import may_restart
from shared.sending.storage_outage import NotRecordedError, persist, problem_of
from shared.sending.unrecorded import MAX_WAIT, queue_again
from shared.settings.update import active_problem
from shared.telemetry import Event, log_event, log_failed_step, log_failure, log_mail_event
from shared.time_limit import limit_invocation

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from shared.deliveries.delivery import Delivery
    from shared.sending.attempt import QueuedMail
    from shared.sending.ports import SendingServices

_NOT_TO_BE_SENT = frozenset(
    {ClaimState.DONE, ClaimState.SUPERSEDED, ClaimState.OTHER_CONTENT, ClaimState.OTHER_VERSION}
)


def record_poisoned(
    text: bytes, queue_id: str, ports: SendingServices, waited: timedelta | None = None
) -> None:
    """Record one message of the poison queue; returning completes it.

    A message that cannot be recorded is put back into `mail-outbox`: Azure deletes messages that stay in the
    poison queue for seven days.

    Raises:
        ConflictError: `still_under_way`: a worker may be sending the mail because of another message.
        TransientError: the row or the request could not be stored; the host redelivers the message.
    """
    key = message_key(text)
    message = ports.claims.recall(key, text)
    try:
        with limit_invocation(ports.system):
            _record_poisoned(message, queue_id, ports)
    except (NotRecordedError, TransientError, ConfigurationError) as error:
        queue_again(decode_if_possible(message), key, waited, problem_of(error), ports)
    except ConflictError:
        raise
    except Exception as error:  # noqa: BLE001 - the mail is stored after any error
        log_failure(error)
        ports.outbox.put(decode_if_possible(message), MAX_WAIT)
    ports.claims.forget(key, message)


def _record_poisoned(text: bytes, queue_id: str, ports: SendingServices) -> None:
    mail = find_mail(text, queue_id, ports)
    if mail is None:
        return
    request = mail.request
    now = ports.system.now()
    known = ports.deliveries.find(request.tenant_id, request.message_id)
    state = ClaimState.FREE
    if known is not None:
        state = _claim_state(known, mail, queue_id, now)
        if state in _NOT_TO_BE_SENT:
            skip_message(state, known, mail, ports)
            return
        if state is ClaimState.HELD:
            # The host redelivers the message in ten minutes, and the claim ends soon after that.
            raise ConflictError("still_under_way")
        if known.status in WAITING and known.fingerprint == request.fingerprint(known.fingerprint):
            return
    ports.requests.save(request.tenant_id, request.message_id, mail.text)
    row = _with_next_status(_current_row(known, mail, state, now), now)
    problem = active_problem(ConfigurationError("mail_poisoned"), ports.system)
    row = row.transition(row.status, now, problem=problem)
    write = ports.deliveries.add if known is None else ports.deliveries.save
    if persist(lambda: write(row), ports.system) is None:
        raise TransientError("storage_unavailable", service="tables")
    log_mail_event(
        Event.MAIL_POISONED,
        row,
        level=logging.ERROR,
        correlation_id=row.correlation_id,
        status=row.status,
    )


def report_poison_queue(ports: SendingServices) -> None:
    """Log how many messages are in the poison queue.

    The function for this queue processes each message at once, so messages that remain there cannot be
    processed.
    """
    try:
        length = ports.outbox.poison_length()
    except ProblemError as error:
        log_failed_step("poison_queue", error.code)
        return
    if length:
        log_event(Event.POISON_QUEUE_NOT_EMPTY, level=logging.ERROR, length=length)


def _claim_state(known: Delivery, mail: QueuedMail, queue_id: str, now: datetime) -> ClaimState:
    if is_superseded(known, mail.requeued_for, queue_id):
        return ClaimState.SUPERSEDED
    if mail.maybe_new and may_restart(known):
        return ClaimState.FREE
    fingerprint = mail.request.fingerprint(known.fingerprint)
    return evaluate_claim(known, fingerprint, queue_id, now, mail.unused_claims)


def _current_row(known: Delivery | None, mail: QueuedMail, state: ClaimState, now: datetime) -> Delivery:
    """Return the row on which the new status is based."""
    if known is None:
        return first_row(mail.request, now)
    if known.status is DeliveryStatus.INVALID or may_restart(known):
        # The row is that of an invalid or refused message, and this message is the corrected one.
        return next_row(known, mail.request, now)
    if state is ClaimState.INTERRUPTED:
        return known.with_uncertain_send(now)
    if known.uncertain_send is not None and known.uncertain_send.claim_id in mail.unused_claims:
        # Nothing was sent with this claim.
        return replace(known, uncertain_send=None)
    return known


def _with_next_status(row: Delivery, now: datetime) -> Delivery:
    """Return the row with its next status: waiting, or final after a day.

    Time in which no mail was processed, as in an outage, does not count.
    """
    row = replace(row, paused_for=row.paused_for + row.overdue(now))
    if now - row.counted_since(now) < MAX_RETRY_AGE:
        return replace(row, status=DeliveryStatus.WAITING_FOR_OPERATOR)
    return replace(row, status=DeliveryStatus.UNKNOWN if row.uncertain_send else DeliveryStatus.EXPIRED)
