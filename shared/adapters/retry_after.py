"""Read for how long an answer asks to be left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: An answer that asks for more is asked again all the same, while the mail has time left.
LONGEST_WAIT = timedelta(hours=6)


def asked_wait(headers: Mapping[str, str]) -> timedelta | None:
    """Return the wait of an answer's `Retry-After`; None where it does not say.

    A date is judged by the answer's own clock, because that of this host can be wrong by hours.
    """
    answered = headers.get("Date")
    try:
        now = _moment(answered) if answered else datetime.now(UTC)
    except (ValueError, OverflowError):
        now = datetime.now(UTC)
    return retry_after(headers.get("Retry-After"), now)


def retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Read a `Retry-After`: seconds, which Graph writes as `2.128` too, or a date (RFC 9110 10.2.3)."""
    if text is None:
        return None
    for read in (_seconds, _until):
        try:
            return min(max(read(text, now), timedelta(0)), LONGEST_WAIT)
        except (ValueError, OverflowError):
            continue
    return None


def _seconds(text: str, _now: datetime) -> timedelta:
    """Of several numbers, which a server and a gateway have each set, the largest counts."""
    longest = max(float(part) for part in text.split(","))
    return timedelta(seconds=min(longest, LONGEST_WAIT.total_seconds()))


def _until(text: str, now: datetime) -> timedelta:
    return _moment(text) - now


def _moment(text: str) -> datetime:
    found = parsedate_to_datetime(text)
    return found.replace(tzinfo=found.tzinfo or UTC)
