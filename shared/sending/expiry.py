"""Compute the last attempt of a mail, and its expiry. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.errors import ExpiredError

if TYPE_CHECKING:
    from shared.errors import ProblemError

#: The last attempt begins this long before the deadline, so that it ends in time.
LAST_ATTEMPT = timedelta(minutes=1)


def expired(moment: datetime, last: ProblemError | None = None) -> ExpiredError:
    """Return the error with the deadline in UTC and Graph's last error."""
    known = last.facts.get("graph_code") if last else None
    answer = {} if known is None else {"graph_code": known}
    request_id = last.request_id if last else None
    return ExpiredError("expired", request_id=request_id, moment=f"{moment:%Y-%m-%d %H:%M} UTC", **answer)


def before_end(end: datetime, wanted: datetime, now: datetime) -> datetime | None:
    """Return when to retry before a deadline.

    The last attempt is shortly before it; None after that.
    """
    if wanted < end:
        return wanted
    last = end - LAST_ATTEMPT
    return last if now < last else None
