"""Compute when a mail is retried, until when, and before which. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.deliveries.status import DeliveryStatus
from shared.errors import ExpiredError
from shared.sending.errors import THROTTLED_CODES

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.errors import ProblemError

#: After a day a person must decide whether a mail is still useful.
MAX_RETRY_AGE = timedelta(hours=24)
#: The last attempt begins this long before the deadline, so that it ends in time.
LAST_ATTEMPT = timedelta(minutes=1)
MIN_BACKOFF = timedelta(seconds=15)
#: After an outage of any length, sending resumes within this time.
MAX_BACKOFF = timedelta(minutes=10)
_TEST_MAIL: Final = "test-mail:"
#: A mail that failed more often goes to the end of the line, or mails that always fail would delay others.
_MAX_FAILURES = 2
#: The codes of attempts that only waited.
_WAITED = THROTTLED_CODES | {"mailbox_paused", "attempt_too_long", "consent_replaced", "sending_paused"}


def deadline(trying_since: datetime, expires_at: datetime | None) -> datetime:
    """Return the moment after which a mail is not tried any more."""
    horizon = trying_since + MAX_RETRY_AGE
    return horizon if expires_at is None else min(horizon, expires_at)


def before_end(end: datetime, wanted: datetime, now: datetime) -> datetime | None:
    """Return when to retry before a deadline.

    The last attempt is shortly before it; None after that.
    """
    if wanted < end:
        return wanted
    # A mail can have the earliest time there is as its `expiresAt`: nothing is subtracted from that.
    return end - LAST_ATTEMPT if now + LAST_ATTEMPT < end else None


def expired(moment: datetime, last: ProblemError | None = None) -> ExpiredError:
    """Return the error with the deadline in UTC and Graph's last error."""
    known = last.params.get("graph_code") if last else None
    answer = {} if known is None else {"graph_code": known}
    request_id = last.request_id if last else None
    return ExpiredError("expired", request_id=request_id, moment=f"{moment:%Y-%m-%d %H:%M} UTC", **answer)


def backoff(attempt: int, jitter: float, retry_after: timedelta | None = None) -> timedelta:
    """Return the wait after the `attempt`-th failure; `jitter` is from 0 to 1.

    The wait that a service asked for is the minimum; jitter is added, so that mails which failed together do
    not return together.
    """
    doublings = min(attempt - 1, 16)
    exponential = min(MIN_BACKOFF * (1 << doublings), MAX_BACKOFF)
    floor = exponential / 2 if retry_after is None else retry_after
    return floor + exponential / 2 * jitter


def throttle_delay(pause: timedelta, jitter: float) -> timedelta:
    """Return the wait of a mail for a throttled mailbox.

    The jitter spreads the mails that wait for it.
    """
    return pause + MIN_BACKOFF * jitter


def goes_first(row: Delivery) -> bool:
    """Return whether a mail goes before the line.

    It does if a person waits for it, or if it was tried before and has not failed too often.
    """
    if row.message_id.startswith(_TEST_MAIL):
        return True
    failures = sum(
        event.status is DeliveryStatus.DEFERRED and event.code not in _WAITED and event.at >= row.trying_since
        for event in row.history
    )
    return row.attempt > 1 and failures <= _MAX_FAILURES
