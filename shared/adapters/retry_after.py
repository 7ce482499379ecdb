"""Read how long a response asks the client to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A longer wait is shortened to this.
MAX_WAIT = timedelta(hours=6)


def requested_wait(headers: Mapping[str, str]) -> timedelta | None:
    """Return the wait in the header `Retry-After` of a response, or None.

    If the header has a date, it is compared with the date of the response, because the clock of this host can
    be wrong by hours.
    """
    sent_at = headers.get("Date")
    try:
        now = _moment(sent_at) if sent_at else datetime.now(UTC)
    except (ValueError, OverflowError):
        now = datetime.now(UTC)
    return retry_after(headers.get("Retry-After"), now)


def retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Parse a `Retry-After`: seconds or a date (RFC 9110 section 10.2.3).

    Graph also writes decimals such as `2.128`.
    """
    if text is None:
        return None
    for read in (_seconds, _until):
        try:
            return min(max(read(text, now), timedelta(0)), MAX_WAIT)
        except (ValueError, OverflowError):
            continue
    return None


def _seconds(text: str, _now: datetime) -> timedelta:
    """Return the largest number; a server and a gateway can both set one."""
    longest = max(float(part) for part in text.split(","))
    return timedelta(seconds=min(longest, MAX_WAIT.total_seconds()))


def _until(text: str, now: datetime) -> timedelta:
    return _moment(text) - now


def _moment(text: str) -> datetime:
    found = parsedate_to_datetime(text)
    return found.replace(tzinfo=found.tzinfo or UTC)
