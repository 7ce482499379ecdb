"""Compute how long a mail waits before its next attempt. Pure."""

from __future__ import annotations

from datetime import timedelta

FIRST = timedelta(seconds=15)
#: After an outage of any length, sending resumes within this time.
LONGEST = timedelta(minutes=10)


def backoff(attempt: int, jitter: float, retry_after: timedelta | None = None) -> timedelta:
    """Return the wait after the `attempt`-th failure; `jitter` is from 0 to 1.

    The wait that a service asked for is the minimum; jitter is added, so that mails which failed together do
    not return together.
    """
    doublings = min(attempt - 1, 16)
    exponential = min(FIRST * (1 << doublings), LONGEST)
    floor = exponential / 2 if retry_after is None else retry_after
    return floor + exponential / 2 * jitter


def throttle_delay(pause: timedelta, jitter: float) -> timedelta:
    """Return the wait of a mail for a throttled mailbox.

    The jitter spreads the mails that wait for it.
    """
    return pause + FIRST * jitter
