"""From what went wrong to what happens to the mail. Pure, and total over our errors.

    error                 row                                           the request   the queue
    InvalidInputError     invalid                                       -             complete
    ConsentRequiredError  waiting_for_consent                           kept          complete
    ConditionalAccessError  the same; deferred until it is confirmed    kept          complete, or again
    TransientError        deferred; expired past the horizon            kept          again, after a delay
    ExpiredError          expired                                       kept          complete
    RejectedError         rejected; deferred until it is confirmed      kept          complete, or again
    SenderRefusedError    waiting_for_microsoft365; deferred until the
                          settings say `sender_refused`                 kept          complete, or again
    OutcomeUnknownError   verifying where the mail can be looked up     kept          again, after a pause
                          otherwise unknown; deferred where the
                          deployment chose to repeat                    kept          complete, or again
    ConfigurationError    waiting_for_operator                          kept          complete
    TokenRefusedError     the same; deferred until it is confirmed      kept          complete, or again

A mail in doubt, which may have been sent, ends as unknown where it would otherwise end as expired,
rejected or invalid; where it can be looked up, it is looked up after its time too, and not sent any more.
Anything else is a bug or storage out of reach: it goes up, and the host repeats the message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.deliveries.delivery import Delivery, DeliveryStatus
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
from shared.sending.backoff import backoff, hold_back
from shared.sending.doubt import next_look
from shared.sending.pace import UNSAID
from shared.settings.refusal import BETWEEN_REFUSALS

#: A mail that could not be sent for a day is late enough for a person to decide.
HORIZON = timedelta(hours=24)

#: A file can come after its message: a scheduler that uploads both at once, or storage that is slow.
FILE_PATIENCE = timedelta(minutes=10)

#: How long a mail in doubt is looked for: a day more, as the last attempt may have left the doubt.
_LOOKS = 2 * HORIZON
#: The last attempt begins this long before the deadline, so that it is over in time.
LAST_ATTEMPT = timedelta(minutes=1)

_SIMPLE: dict[type[ProblemError], DeliveryStatus] = {
    InvalidInputError: DeliveryStatus.INVALID,
    ConsentRequiredError: DeliveryStatus.WAITING_FOR_CONSENT,
    ExpiredError: DeliveryStatus.EXPIRED,
    SenderRefusedError: DeliveryStatus.WAITING_FOR_MICROSOFT365,
    RejectedError: DeliveryStatus.REJECTED,
    ConfigurationError: DeliveryStatus.WAITING_FOR_OPERATOR,
}

#: Graph refused the mail for the mailbox's rate: when it is tried again, the mailbox's schedule says.
THROTTLED = frozenset({"mailbox_throttled", "sending_limit_reached"})
#: The mail had to wait, or to go on.
NO_FAILURES = frozenset({"mailbox_paused", "attempt_too_long"})
#: These ends would be untrue of a mail that may have gone out.
_NOT_SENT = frozenset({DeliveryStatus.EXPIRED, DeliveryStatus.REJECTED, DeliveryStatus.INVALID})


@dataclass(frozen=True, slots=True)
class Situation:
    """What the verdict depends on beside the error; `jitter` is from 0 to 1.

    Attributes:
        in_doubt_since: the moment of an attempt whose outcome nobody knows, this one included.
        may_look_up: whether the mail can be found again in the mailbox.
        resends: whether the deployment repeats a mail that can't be looked up.
        refusals: how often it ended with this error, each time after the interval, this time included.
        sender_refused: whether the settings say that Microsoft 365 refuses the sender.
        first_look: how soon a refused mail that may be sent can be looked for; None after another error.
        maybe_sent: whether it was refused, may be sent all the same, and nobody can look for it.
    """

    now: datetime
    attempt: int
    trying_since: datetime
    expires_at: datetime | None
    jitter: float
    in_doubt_since: datetime | None = None
    may_look_up: bool = False
    resends: bool = False
    refusals: int = 1
    sender_refused: bool = False
    first_look: timedelta | None = None
    maybe_sent: bool = False

    @property
    def deadline(self) -> datetime:
        """The moment after which the mail is not tried any more."""
        return deadline(self.trying_since, self.expires_at)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do: the row's next status, and when to try again, if ever.

    Attributes:
        counts: whether something failed, rather than having to wait or to go on.
        forgets_doubt: the mail is sent again although it may have been sent.
    """

    status: DeliveryStatus
    next_attempt_at: datetime | None = None
    counts: bool = True
    forgets_doubt: bool = False

    @property
    def keeps_request(self) -> bool:
        """Whether the mail may still be wanted as it is."""
        return self.status is not DeliveryStatus.INVALID


def expired(moment: datetime, last: ProblemError | None = None) -> ExpiredError:
    """Say when it was too late, in UTC, and what Graph answered last, where that is known."""
    known = last.facts.get("graph_code") if last else None
    answer = {} if known is None else {"graph_code": known}
    request_id = last.request_id if last else None
    return ExpiredError("expired", request_id=request_id, moment=f"{moment:%Y-%m-%d %H:%M} UTC", **answer)


def deadline(trying_since: datetime, expires_at: datetime | None) -> datetime:
    """Return the moment after which a mail is not tried any more."""
    horizon = trying_since + HORIZON
    return horizon if expires_at is None else min(horizon, expires_at)


def decide(error: ProblemError, situation: Situation) -> Verdict:
    """Choose what happens to a mail that could not be sent."""
    verdict = _decide(error, situation)
    if situation.in_doubt_since is not None and verdict.status in _NOT_SENT:
        # Also where the deployment would have repeated it, had there been time.
        return Verdict(DeliveryStatus.UNKNOWN)
    return verdict


def _decide(error: ProblemError, situation: Situation) -> Verdict:
    if isinstance(error, TransientError):
        return _wait(error, situation)
    if isinstance(error, OutcomeUnknownError):
        return _look(situation)
    if isinstance(error, MissingFileError):
        return _wait_for_file(situation)
    if not _confirmed(error, situation):
        least = _refusal_interval(error) or None
        return _again(situation, backoff(situation.attempt, situation.jitter, least))
    return Verdict(next(status for kind, status in _SIMPLE.items() if isinstance(error, kind)))


def count_refusals(error: ProblemError, delivery: Delivery, now: datetime) -> int:
    """Count how often the present row of attempts ended like this one, this one included.

    Of refusals that come shortly after each other one counts.
    """
    times, last, apart = 1, now, _refusal_interval(error)
    for step in reversed(delivery.history):
        if step.code == error.code and step.at >= delivery.trying_since and last - step.at >= apart:
            times, last = times + 1, step.at
    return times


def _refusal_interval(error: ProblemError) -> timedelta:
    """Return how far refusals like this must lie apart for each to count."""
    if isinstance(error, SenderRefusedError):
        return BETWEEN_REFUSALS
    at_random = isinstance(error, RejectedError)
    return timedelta(0) if at_random or error.confirm_after == 1 else BETWEEN_REFUSALS


def _confirmed(error: ProblemError, situation: Situation) -> bool:
    """Say whether a refusal counts: it came often enough, of the sender for whichever mail."""
    if isinstance(error, SenderRefusedError):
        return situation.sender_refused
    return situation.refusals >= error.confirm_after


def _wait_for_file(situation: Situation) -> Verdict:
    """Try again until the time for a file is over, and then once more."""
    left = situation.trying_since + FILE_PATIENCE - situation.now
    if left <= timedelta(0):
        return Verdict(DeliveryStatus.REJECTED)
    return _again(situation, min(backoff(situation.attempt, situation.jitter), left))


def _wait(error: TransientError, situation: Situation) -> Verdict:
    if error.code in NO_FAILURES and error.retry_after is not None:
        return replace(_again(situation, hold_back(error.retry_after, situation.jitter)), counts=False)
    if error.code in THROTTLED:
        return _again(situation, UNSAID if error.retry_after is None else error.retry_after)
    return _again(situation, backoff(situation.attempt, situation.jitter, error.retry_after))


def _again(situation: Situation, wait: timedelta) -> Verdict:
    if situation.first_look is not None:
        wait = max(wait, situation.first_look)
    # A wait of any length may be asked for; a row's is limited (`LONGEST_WAIT` of a delivery).
    wanted = situation.now + min(wait, HORIZON)
    again = before_end(situation.deadline, wanted, situation.now)
    if again is not None:
        return Verdict(DeliveryStatus.DEFERRED, again)
    if situation.in_doubt_since is not None and situation.may_look_up:
        return _verify(situation, wanted)
    return Verdict(DeliveryStatus.EXPIRED)


def before_end(end: datetime, wanted: datetime, now: datetime) -> datetime | None:
    """Return when to try again before an end; the last time shortly before it, and None after that."""
    if wanted < end:
        return wanted
    last = end - LAST_ATTEMPT
    return last if now < last else None


def _verify(situation: Situation, wanted: datetime) -> Verdict:
    """Look for the mail again; its `expiresAt` limits when it is sent, not when it is looked for."""
    look = before_end(situation.trying_since + _LOOKS, wanted, situation.now)
    return Verdict(DeliveryStatus.UNKNOWN if look is None else DeliveryStatus.VERIFYING, look)


def _look(situation: Situation) -> Verdict:
    if situation.may_look_up:
        return _verify(situation, next_look(situation.in_doubt_since or situation.now, situation.now))
    if situation.resends:
        again = _again(situation, backoff(situation.attempt, situation.jitter))
        return replace(again, forgets_doubt=True)
    return Verdict(DeliveryStatus.UNKNOWN)
