"""Compute when a mail is retried, its deadline, and its priority. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.deliveries.status import DeliveryStatus
from shared.errors import ExpiredError
from shared.sending.errors import THROTTLED_CODES

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.errors import ProblemError

#: How long the app tries to send a mail. After a day, a person must decide whether the mail is still useful.
MAX_RETRY_AGE = timedelta(hours=24)
#: How long before the deadline the last attempt begins, so that it ends in time.
LAST_ATTEMPT = timedelta(minutes=1)
MIN_BACKOFF = timedelta(seconds=15)
#: The longest wait between attempts, so that sending resumes within this time after an outage of any length.
MAX_BACKOFF = timedelta(minutes=10)
_TEST_MAIL: Final = "test-mail:"
#: A mail that failed more often goes to the end of the line of waiting mails. Otherwise mails that always
#: fail would delay the others.
_MAX_FAILURES = 2
#: The problem codes of attempts that do not count as failures, because they only waited.
_NOT_A_FAILURE = THROTTLED_CODES | {
    "mailbox_paused",
    "attempt_too_long",
    "consent_replaced",
    "sending_paused",
}


def deadline(trying_since: datetime, expires_at: datetime | None) -> datetime:
    """Return the moment after which a mail is not tried any more."""
    end = trying_since + MAX_RETRY_AGE
    return end if expires_at is None else min(end, expires_at)


def retry_before_deadline(end: datetime, wanted: datetime, now: datetime) -> datetime | None:
    """Return when to retry, or None if it is too late for another attempt.

    This is the `wanted` time if it is before the deadline `end`. If not, one last attempt is made shortly
    before the deadline.
    """
    if wanted < end:
        return wanted
    # A mail can have the earliest time there is as its `expiresAt`: nothing is subtracted from that.
    return end - LAST_ATTEMPT if now + LAST_ATTEMPT < end else None


def expired_error(moment: datetime, last: ProblemError | None = None) -> ExpiredError:
    """Return the error that a mail's deadline passed, with the last error."""
    graph_code = last.params.get("graph_code") if last else None
    params = {} if graph_code is None else {"graph_code": graph_code}
    request_id = last.request_id if last else None
    return ExpiredError("expired", request_id=request_id, moment=f"{moment:%Y-%m-%d %H:%M} UTC", **params)


def backoff(attempt: int, jitter: float, retry_after: timedelta | None = None) -> timedelta:
    """Return the wait after the `attempt`-th failure; `jitter` is from 0 to 1.

    If a service asked for a wait (`retry_after`), this is the minimum. Jitter is added, so that mails that
    failed at the same time are not retried at the same time.
    """
    doublings = min(attempt - 1, 16)
    exponential = min(MIN_BACKOFF * (1 << doublings), MAX_BACKOFF)
    minimum = exponential / 2 if retry_after is None else retry_after
    return minimum + exponential / 2 * jitter


def throttle_delay(pause: timedelta, jitter: float) -> timedelta:
    """Return how long a mail waits for a throttled mailbox.

    Jitter is added, so that mails that wait for the same mailbox are not retried at the same time.
    """
    return pause + MIN_BACKOFF * jitter


def goes_first(row: Delivery) -> bool:
    """Return whether a mail is sent before the line of waiting mails.

    That is so for a test mail, for which a person waits, and for a mail that was tried before and has not
    failed too often.
    """
    if row.message_id.startswith(_TEST_MAIL):
        return True
    failures = sum(
        event.status is DeliveryStatus.DEFERRED
        and event.code not in _NOT_A_FAILURE
        and event.at >= row.trying_since
        for event in row.history
    )
    return row.attempt > 1 and failures <= _MAX_FAILURES
