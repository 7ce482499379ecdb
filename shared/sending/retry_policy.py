"""Decide how a mail continues after an error. Pure; covers all errors.

How long and how often a mail is retried is in `backoff_and_deadline.py`. An error whose class is not in this
table is handled as its base class:

    error                   next status of the mail
    InvalidInputError       invalid
    ConsentRequiredError    waiting_for_consent
    ConditionalAccessError  waiting_for_consent once confirmed, deferred before
    TransientError          deferred until its deadline, then expired
    ExpiredError            expired
    RejectedError           rejected; with `confirm_after` once confirmed, deferred before
    MissingFileError        deferred for ten minutes, then rejected
    SenderRefusedError      waiting_for_microsoft365 once the settings say `sender_refused`, deferred before
    OutcomeUnknownError     verifying if the mail can be looked up; else deferred if the deployment resends,
                            else unknown
    ConfigurationError      waiting_for_operator
    TokenRefusedError       waiting_for_operator once confirmed, deferred before

A deferred or verifying mail is queued again. A waiting mail is queued again only if it has an `expiresAt`, to
end at that time. An error is confirmed once it has occurred `confirm_after` times.

If the outcome of an earlier attempt is uncertain, the mail may have been sent, so it ends as unknown instead
of expired, rejected or invalid. If it can be looked up, it is looked up even after its deadline, and not sent
again.

Any other exception is a bug or unavailable storage, and is handled in `deliver.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.deliveries.status import NOT_SENT, DeliveryStatus
from shared.errors import (
    ConfigurationError,
    ConsentRequiredError,
    ExpiredError,
    InvalidInputError,
    MissingFileError,
    OutcomeUnknownError,
    ProblemError,
    RejectedError,
    SenderRefusedError,
    TransientError,
)
from shared.sending.backoff_and_deadline import (
    MAX_RETRY_AGE,
    backoff,
    deadline,
    retry_before_deadline,
    throttle_delay,
)
from shared.sending.errors import ConsentReplacedError, MailboxPausedError, ThrottledError
from shared.sending.rate_limit.pace import DEFAULT_RETRY_AFTER
from shared.sending.reconcile import next_check
from shared.settings.sender_refusal import BETWEEN_REFUSALS
from shared.time_limit import AttemptTooLongError

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery

#: A file can arrive after its message: the scheduler uploads both at once, or storage is slow.
FILE_PATIENCE = timedelta(minutes=10)

#: A mail is looked up for a day longer than it is sent: the outcome of its last attempt may be uncertain.
_MAX_VERIFY_AGE = 2 * MAX_RETRY_AGE

#: The first matching class decides, so a class is listed before its base class.
_FINAL_STATUS: dict[type[ProblemError], DeliveryStatus] = {
    InvalidInputError: DeliveryStatus.INVALID,
    ConsentRequiredError: DeliveryStatus.WAITING_FOR_CONSENT,
    ExpiredError: DeliveryStatus.EXPIRED,
    SenderRefusedError: DeliveryStatus.WAITING_FOR_MICROSOFT365,
    RejectedError: DeliveryStatus.REJECTED,
    ConfigurationError: DeliveryStatus.WAITING_FOR_OPERATOR,
}

#: Not failures if they have a `retry_after`: the mail only has to wait, or the attempt continues.
_NOT_FAILURES = (MailboxPausedError, AttemptTooLongError, ConsentReplacedError)


@dataclass(frozen=True, slots=True)
class AttemptContext:
    """What the decision depends on besides the error; `jitter` is 0 to 1.

    Attributes:
        uncertain_since: the time of the first attempt with an uncertain outcome, which may be the present
            one; None if there is none.
        may_look_up: whether the mail can be looked up in the mailbox.
        resends: whether the deployment repeats a mail that can't be looked up.
        refusals: the number of failures with this error, including this one. Failures within the minimum
            interval count as one.
        sender_refused: whether the settings say that Microsoft 365 refuses the sender.
        first_check: how soon a refused but maybe sent mail can be looked up; None after another error.
    """

    now: datetime
    attempt: int
    trying_since: datetime
    expires_at: datetime | None
    jitter: float
    uncertain_since: datetime | None = None
    may_look_up: bool = False
    resends: bool = False
    refusals: int = 1
    sender_refused: bool = False
    first_check: timedelta | None = None

    @property
    def deadline(self) -> datetime:
        """The moment after which the mail is not tried any more."""
        return deadline(self.trying_since, self.expires_at)


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """The decision: the row's next status, and the next attempt, if any.

    Attributes:
        counts_as_failure: false if the mail had to wait, or continues.
        ignores_uncertain_send: the mail is sent again although it may have been sent.
    """

    status: DeliveryStatus
    next_attempt_at: datetime | None = None
    counts_as_failure: bool = True
    ignores_uncertain_send: bool = False

    @property
    def keeps_request(self) -> bool:
        """Whether the mail's request may still be needed."""
        return self.status is not DeliveryStatus.INVALID


def decide_retry(error: ProblemError, context: AttemptContext) -> RetryDecision:
    """Decide how to continue with a mail that could not be sent."""
    decision = _decide(error, context)
    if context.uncertain_since is not None and decision.status in NOT_SENT:
        # The status must not claim that the mail was not sent, even if the deployment repeats such mails.
        return RetryDecision(DeliveryStatus.UNKNOWN)
    return decision


def _decide(error: ProblemError, context: AttemptContext) -> RetryDecision:
    if isinstance(error, TransientError):
        return _retry_transient(error, context)
    if isinstance(error, OutcomeUnknownError):
        return _resolve_outcome(context)
    if isinstance(error, MissingFileError):
        return _retry_until_file(context)
    if not _confirmed(error, context):
        return _retry(context, backoff(context.attempt, context.jitter, _refusal_interval(error)))
    return RetryDecision(next(status for kind, status in _FINAL_STATUS.items() if isinstance(error, kind)))


def count_refusals(error: ProblemError, delivery: Delivery, now: datetime) -> int:
    """Count the refusals of the current attempts, including this one.

    Refusals within the minimum interval count as one.
    """
    times, last, apart = 1, now, _refusal_interval(error) or timedelta(0)
    for event in reversed(delivery.history):
        if event.code == error.code and event.at >= delivery.trying_since and last - event.at >= apart:
            times, last = times + 1, event.at
    return times


def _refusal_interval(error: ProblemError) -> timedelta | None:
    """Return the minimum interval between two refusals that both count.

    None if every refusal counts: Graph refuses some mails at random, and accepts them when they are sent
    again immediately.
    """
    if isinstance(error, SenderRefusedError):
        return BETWEEN_REFUSALS
    if isinstance(error, RejectedError) or error.confirm_after == 1:
        return None
    return BETWEEN_REFUSALS


def _confirmed(error: ProblemError, context: AttemptContext) -> bool:
    """Return whether the error has occurred often enough to act on it.

    Refusals of the sender are counted in the settings, over all of its mails.
    """
    if isinstance(error, SenderRefusedError):
        return context.sender_refused
    return context.refusals >= error.confirm_after


def _retry_until_file(context: AttemptContext) -> RetryDecision:
    """Retry until the file's time is over, with a last attempt at its end."""
    left = context.trying_since + FILE_PATIENCE - context.now
    if left <= timedelta(0):
        return RetryDecision(DeliveryStatus.REJECTED)
    return _retry(context, min(backoff(context.attempt, context.jitter), left))


def _retry_transient(error: TransientError, context: AttemptContext) -> RetryDecision:
    if isinstance(error, _NOT_FAILURES) and error.retry_after is not None:
        return replace(
            _retry(context, throttle_delay(error.retry_after, context.jitter)), counts_as_failure=False
        )
    if isinstance(error, ThrottledError):
        return _retry(context, DEFAULT_RETRY_AFTER if error.retry_after is None else error.retry_after)
    return _retry(context, backoff(context.attempt, context.jitter, error.retry_after))


def _retry(context: AttemptContext, wait: timedelta) -> RetryDecision:
    if context.first_check is not None:
        wait = max(wait, context.first_check)
    # A service may ask for any wait, but a row stores at most `MAX_WAIT` (delivery.py).
    wanted = context.now + min(wait, MAX_RETRY_AGE)
    again = retry_before_deadline(context.deadline, wanted, context.now)
    if again is not None:
        return RetryDecision(DeliveryStatus.DEFERRED, again)
    if context.uncertain_since is not None and context.may_look_up:
        return _look_up(context, wanted)
    return RetryDecision(DeliveryStatus.EXPIRED)


def _look_up(context: AttemptContext, wanted: datetime) -> RetryDecision:
    """Look up the mail again.

    Its `expiresAt` limits when it is sent, not when it is looked up.
    """
    next_at = retry_before_deadline(context.trying_since + _MAX_VERIFY_AGE, wanted, context.now)
    return RetryDecision(DeliveryStatus.UNKNOWN if next_at is None else DeliveryStatus.VERIFYING, next_at)


def _resolve_outcome(context: AttemptContext) -> RetryDecision:
    if context.may_look_up:
        return _look_up(context, next_check(context.uncertain_since or context.now, context.now))
    if context.resends:
        again = _retry(context, backoff(context.attempt, context.jitter))
        return replace(again, ignores_uncertain_send=True)
    return RetryDecision(DeliveryStatus.UNKNOWN)
