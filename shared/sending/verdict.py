"""From what went wrong to what happens to the mail. Pure, and total over our errors.

    error                 row                                           the request   the queue
    InvalidInputError     invalid                                       -             complete
    ConsentRequiredError  waiting_for_consent; deferred until Graph
                          is believed                                   kept          complete, or again
    TransientError        deferred; expired past the horizon            kept          again, after a delay
    ExpiredError          expired                                       kept          complete
    RejectedError         rejected; deferred until Graph is believed    kept          complete, or again
    OutcomeUnknownError   verifying where the mail can be looked up     kept          again, after a pause
                          otherwise unknown; deferred where the
                          deployment chose to repeat                    kept          complete, or again
    ConfigurationError    waiting_for_operator                          kept          complete

A mail in doubt, which may have been sent, ends as unknown where it would otherwise end as expired,
rejected or invalid. Anything else is a bug or storage out of reach: it goes up, and the host repeats
the message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.deliveries.delivery import DeliveryStatus
from shared.errors import (
    ConfigurationError,
    ConsentRequiredError,
    ExpiredError,
    InvalidInputError,
    OutcomeUnknownError,
    ProblemError,
    RejectedError,
    TransientError,
)
from shared.sending.backoff import backoff, hold_back
from shared.sending.doubt import next_look

#: A mail that could not be sent for a day is late enough for a person to decide.
HORIZON = timedelta(hours=24)

#: Graph may be the one that errs, and then not for seconds only.
_BETWEEN_REFUSED_TOKENS = timedelta(minutes=5)

_SIMPLE: dict[type[ProblemError], DeliveryStatus] = {
    InvalidInputError: DeliveryStatus.INVALID,
    ConsentRequiredError: DeliveryStatus.WAITING_FOR_CONSENT,
    ExpiredError: DeliveryStatus.EXPIRED,
    RejectedError: DeliveryStatus.REJECTED,
    ConfigurationError: DeliveryStatus.WAITING_FOR_OPERATOR,
}

_NO_FAILURES = frozenset({"mailbox_paused", "attempt_too_long"})
#: These ends would be untrue of a mail that may have gone out.
_NOT_SENT = frozenset({DeliveryStatus.EXPIRED, DeliveryStatus.REJECTED, DeliveryStatus.INVALID})


@dataclass(frozen=True, slots=True)
class Situation:
    """What the verdict depends on beside the error; `jitter` is from 0 to 1.

    Attributes:
        in_doubt_since: the moment of an attempt whose outcome nobody knows, this one included.
        may_look_up: whether the mail can be found again in the mailbox.
        resends: whether the deployment repeats a mail that can't be looked up.
        refusals: how often it ended with this error, this time included.
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

    @property
    def deadline(self) -> datetime:
        """The moment after which the mail is not tried any more."""
        horizon = self.trying_since + HORIZON
        return horizon if self.expires_at is None else min(horizon, self.expires_at)


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


def expired(moment: datetime) -> ExpiredError:
    """Say when it was too late; every moment of ours is in UTC."""
    return ExpiredError("expired", moment=f"{moment:%Y-%m-%d %H:%M} UTC")


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
    if isinstance(error, RejectedError) and situation.refusals < error.believed_after:
        return _again(situation, backoff(situation.attempt, situation.jitter))
    if isinstance(error, ConsentRequiredError) and situation.refusals < error.believed_after:
        return _again(situation, backoff(situation.attempt, situation.jitter, _BETWEEN_REFUSED_TOKENS))
    return Verdict(next(status for kind, status in _SIMPLE.items() if isinstance(error, kind)))


def _wait(error: TransientError, situation: Situation) -> Verdict:
    if error.code in _NO_FAILURES and error.retry_after is not None:
        return replace(_again(situation, hold_back(error.retry_after, situation.jitter)), counts=False)
    return _again(situation, backoff(situation.attempt, situation.jitter, error.retry_after))


def _again(situation: Situation, wait: timedelta) -> Verdict:
    again = situation.now + wait
    if again >= situation.deadline:
        return Verdict(DeliveryStatus.EXPIRED)
    return Verdict(DeliveryStatus.DEFERRED, again)


def _look(situation: Situation) -> Verdict:
    if situation.may_look_up:
        since = situation.in_doubt_since or situation.now
        look = next_look(since, situation.now)
        late = look >= situation.trying_since + HORIZON
        return Verdict(DeliveryStatus.UNKNOWN) if late else Verdict(DeliveryStatus.VERIFYING, look)
    if situation.resends:
        again = _again(situation, backoff(situation.attempt, situation.jitter))
        return replace(again, forgets_doubt=True)
    return Verdict(DeliveryStatus.UNKNOWN)
