"""From what went wrong to what happens to the mail. Pure, and total over our errors.

    error                    row                                     the request   the queue
    InvalidInputError        invalid                                 -             complete
    ConsentRequiredError     waiting_for_consent                     kept          complete
    TransientError           deferred; expired past the horizon      kept          again, after a delay
    ExpiredError             expired                                 kept          complete
    RejectedError            rejected                                kept          complete
    OutcomeUnknownError      unknown                                 kept          complete
    ConfigurationError       waiting_for_operator                    kept          complete

Anything else is a bug or storage out of reach: it goes up, and the host repeats the message.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from shared.sending.backoff import backoff

#: A mail that could not be sent for a day is late enough for a person to decide.
HORIZON = timedelta(hours=24)

_SIMPLE: dict[type[ProblemError], DeliveryStatus] = {
    InvalidInputError: DeliveryStatus.INVALID,
    ConsentRequiredError: DeliveryStatus.WAITING_FOR_CONSENT,
    ExpiredError: DeliveryStatus.EXPIRED,
    RejectedError: DeliveryStatus.REJECTED,
    OutcomeUnknownError: DeliveryStatus.UNKNOWN,
    ConfigurationError: DeliveryStatus.WAITING_FOR_OPERATOR,
}


@dataclass(frozen=True, slots=True)
class Situation:
    """What the verdict depends on beside the error; `jitter` is from 0 to 1."""

    now: datetime
    attempt: int
    trying_since: datetime
    expires_at: datetime | None
    jitter: float

    @property
    def deadline(self) -> datetime:
        """The moment after which the mail is not tried any more."""
        horizon = self.trying_since + HORIZON
        return horizon if self.expires_at is None else min(horizon, self.expires_at)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do: the row's next status, and when to try again, if ever."""

    status: DeliveryStatus
    next_attempt_at: datetime | None = None

    @property
    def keeps_request(self) -> bool:
        """Whether the mail may still be wanted as it is."""
        return self.status is not DeliveryStatus.INVALID


def decide(error: ProblemError, situation: Situation) -> Verdict:
    """Choose what happens to a mail that could not be sent."""
    if isinstance(error, TransientError):
        return _wait(situation, error.retry_after)
    return Verdict(next(status for kind, status in _SIMPLE.items() if isinstance(error, kind)))


def _wait(situation: Situation, retry_after: timedelta | None) -> Verdict:
    again = situation.now + backoff(situation.attempt, situation.jitter, retry_after)
    if again >= situation.deadline:
        return Verdict(DeliveryStatus.EXPIRED)
    return Verdict(DeliveryStatus.DEFERRED, again)
