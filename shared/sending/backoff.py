"""How long a mail waits before its next attempt. Pure."""

from __future__ import annotations

from datetime import timedelta

FIRST = timedelta(seconds=15)
#: After an outage, however long, sending resumes within this time.
LONGEST = timedelta(minutes=10)


def backoff(attempt: int, jitter: float, retry_after: timedelta | None = None) -> timedelta:
    """Return the wait after the `attempt`-th failure; `jitter` is from 0 to 1.

    What a service asked for is the floor; the jitter comes on top, so that mails which failed
    together do not come back together.
    """
    doublings = min(attempt - 1, 16)
    exponential = min(FIRST * (1 << doublings), LONGEST)
    floor = exponential / 2 if retry_after is None else retry_after
    return floor + exponential / 2 * jitter


def hold_back(pause: timedelta, jitter: float) -> timedelta:
    """Return the wait of a mail whose mailbox is left alone; the jitter spreads those that wait for it."""
    return pause + FIRST * jitter
