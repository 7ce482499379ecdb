"""Put a mail back into the queue while sending is paused.

This does not count as an attempt, and the pause does not reduce the 24 hours in which the app tries to send
the mail. No token is requested and Graph is not called. So a mail whose outcome is unknown is not looked up
either, and stays `verifying`. A mail whose `expiresAt` passes during the pause ends as `expired`, unless it
may have been sent.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.deliveries.requeue import next_attempt_message
from shared.deliveries.status import DeliveryStatus
from shared.errors import TransientError
from shared.sending.attempt import first_row
from shared.sending.backoff_and_deadline import expired_error
from shared.sending.claim import ClaimState, claim_state_of, next_row, skip_message
from shared.sending.conflict import WAIT_FOR_OTHER
from shared.sending.record_outcome import log_outcome
from shared.settings.update import active_problem

if TYPE_CHECKING:
    from datetime import datetime

    from shared.deliveries.delivery import Delivery
    from shared.sending.attempt import Attempt
    from shared.sending.ports import SendingServices
    from shared.settings.sending_switch import SendingPause
    from shared.system import System

#: How long a mail waits until the pause is checked again. The wait is short at the beginning of a pause, for
#: example during a deployment, and grows to a constant one.
MIN_WAIT = timedelta(seconds=30)
MAX_WAIT = timedelta(minutes=4)
#: Shortly before the deadline of a mail the pause is checked more often, but not more often than this.
_MIN_BEFORE_DEADLINE = timedelta(seconds=5)


def requeue_paused(attempt: Attempt, pause: SendingPause, ports: SendingServices) -> None:
    """Record that a mail waits for the end of a pause, and queue it again."""
    now = ports.system.now()
    request = attempt.request
    known = ports.deliveries.find(request.tenant_id, request.message_id)
    state = claim_state_of(known, attempt, ports) if known else ClaimState.FREE
    if known and state not in (ClaimState.FREE, ClaimState.INTERRUPTED):
        skip_message(state, known, attempt.mail, ports)
        return
    if known is None or known.paused_since is None:
        ports.requests.save(request.tenant_id, request.message_id, attempt.text)
    row = _next_row(known, attempt, now, interrupted=state is ClaimState.INTERRUPTED)
    if request.expires_at is not None and request.expires_at <= now and row.uncertain_send is None:
        row = row.transition(
            DeliveryStatus.EXPIRED,
            now,
            problem=active_problem(expired_error(request.expires_at), ports.system),
        )
    else:
        wait = wait_while_paused(pause, request.expires_at, now, ports.system.jitter())
        row = _delay(row, known, now + wait, ports.system)
    written = ports.deliveries.save(row) if known else ports.deliveries.add(row)
    if written is None:
        # Another worker has written the row meanwhile, and may not have queued the mail yet.
        ports.outbox.put(attempt.mail.message, WAIT_FOR_OTHER)
        return
    if not known or row.history != known.history:
        log_outcome(row)
    if row.next_attempt_at is not None:
        ports.outbox.put(next_attempt_message(row), row.next_attempt_at - now)


def _next_row(known: Delivery | None, attempt: Attempt, now: datetime, *, interrupted: bool) -> Delivery:
    """Return the row to write for the mail.

    `interrupted` says that a worker crashed while it was sending the mail, so the mail may have been sent.
    """
    if known is None:
        return replace(first_row(attempt.request, now), attempt=0, claimed_by=attempt.queue_id)
    row = next_row(known, attempt.request, now, attempt.unused_claims)
    row = replace(row, attempt=known.attempt, from_address=known.from_address, claimed_by=attempt.queue_id)
    if interrupted:
        row = replace(row, uncertain_send=known.with_uncertain_send(now).uncertain_send)
    return row


def _delay(row: Delivery, known: Delivery | None, until: datetime, system: System) -> Delivery:
    """Delay the mail; only the first delay of a pause is in its history."""
    now = system.now()
    status = DeliveryStatus.VERIFYING if row.uncertain_send else DeliveryStatus.DEFERRED
    problem = active_problem(TransientError("sending_paused"), system)
    waiting = row.transition(status, now, problem=problem, next_attempt_at=until, paused_since=now)
    if known and known.paused_since is not None and known.status is status:
        return replace(waiting, problem=known.problem, history=known.history)
    return waiting


def wait_while_paused(
    pause: SendingPause, expires_at: datetime | None, now: datetime, jitter: float
) -> timedelta:
    """Return the wait until the next check: at most five minutes. Pure.

    `jitter` is from 0 to 1.
    """
    wait = min(max((now - pause.since) / 2, MIN_WAIT), MAX_WAIT) * (1 + jitter / 4)
    if expires_at is None or expires_at <= now:
        return wait
    return min(wait, max((expires_at - now) / 2, _MIN_BEFORE_DEADLINE))
