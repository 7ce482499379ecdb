"""Convert times that another host wrote to this host's clock.

Storage's clock, which all hosts share, is the reference.

Storage stamps each row when it is written, and each response when it is sent. The difference is the age of a
row, whatever the hosts' clocks say. Each row also holds the time by its writer's clock, so the difference
between that clock and this host's is known, and the times in the row are corrected by it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.core.pipeline import PipelineResponse

    from shared.adapters.table_storage import Row
    from shared.deliveries.delivery import Delivery

#: The column that holds the time by the writer's clock.
WRITTEN_AT = "WrittenAt"
#: A response states whole seconds, and its transfer takes time.
_UNNOTICED = timedelta(seconds=5)


def utc_now() -> datetime:
    """Return this host's time."""
    return datetime.now(UTC)


class ResponseTime:
    """Storage's time in a response; pass `note` as `raw_response_hook`."""

    def __init__(self) -> None:
        self.moment: datetime | None = None

    def note(self, response: PipelineResponse[Any, Any]) -> None:
        """Read the header `Date` of a response, if it has one."""
        text = response.http_response.headers.get("Date")
        try:
            found = parsedate_to_datetime(text) if text else None
        except (ValueError, OverflowError):
            found = None
        self.moment = found.replace(tzinfo=UTC) if found and found.tzinfo is None else found


def on_own_clock(found: Delivery, row: Row, answered: datetime | None, now: datetime) -> Delivery:
    """Convert a row's times from its writer's clock to this host's clock.

    Args:
        found: what the row says.
        row: the row, with its writer's time and storage's timestamp.
        answered: storage's time when the row was read.
        now: this host's time.
    """
    written_at, stamp = row.get(WRITTEN_AT), row.metadata.get("timestamp")  # type: ignore[attr-defined]
    if not isinstance(written_at, datetime) or not isinstance(stamp, datetime) or answered is None:
        return found
    ahead = now - max(answered - stamp, timedelta(0)) - written_at
    return found if abs(ahead) <= _UNNOTICED else _moved(found, ahead)


def _moved(found: Delivery, by: timedelta) -> Delivery:
    uncertain_send = found.uncertain_send
    return replace(
        found,
        updated_at=found.updated_at + by,
        trying_since=found.trying_since + by,
        claim_ends_at=found.claim_ends_at and found.claim_ends_at + by,
        # Kept equal to the end of the claim; otherwise the claim would count as one of an older version.
        claim_id_until=found.claim_id_until and found.claim_id_until + by,
        lost_since=found.lost_since and found.lost_since + by,
        next_attempt_at=found.next_attempt_at and found.next_attempt_at + by,
        paused_since=found.paused_since and found.paused_since + by,
        uncertain_send=uncertain_send
        and replace(
            uncertain_send,
            since=uncertain_send.since + by,
            worker_began_at=uncertain_send.worker_began_at and uncertain_send.worker_began_at + by,
        ),
        # Compared with `trying_since`, to count the refusals of the current attempts.
        history=tuple(replace(step, at=step.at + by) for step in found.history),
    )
