"""Convert times that another host wrote to this host's clock.

The clock of storage is the reference, because all hosts share it. Storage adds a time to each row when it is
written, and to each response when it is sent. The difference is the age of the row, even if the clocks of the
hosts are wrong. Each row also has the time of its writer's clock. From these times follows the difference
between the writer's clock and this host's clock, by which the times in the row are corrected.
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
#: A smaller difference is ignored: a response has its time in whole seconds, and its transfer takes time.
_TOLERANCE = timedelta(seconds=5)


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


def convert_to_own_clock(found: Delivery, row: Row, read_at: datetime | None, now: datetime) -> Delivery:
    """Convert a row's times from its writer's clock to this host's clock.

    Args:
        found: the delivery in the row.
        row: the row, with the time of the writer's clock and storage's timestamp.
        read_at: storage's time when the row was read; None if it is not known.
        now: this host's time.
    """
    written_at, stamp = row.get(WRITTEN_AT), row.metadata.get("timestamp")  # type: ignore[attr-defined]
    if not isinstance(written_at, datetime) or not isinstance(stamp, datetime) or read_at is None:
        return found
    age = max(read_at - stamp, timedelta(0))
    ahead = now - age - written_at
    return found if abs(ahead) <= _TOLERANCE else _shifted(found, ahead)


def _shifted(found: Delivery, by: timedelta) -> Delivery:
    uncertain_send = found.uncertain_send
    return replace(
        found,
        updated_at=found.updated_at + by,
        trying_since=found.trying_since + by,
        claim_ends_at=found.claim_ends_at and found.claim_ends_at + by,
        # This stays equal to the end of the claim. If not, the claim would count as one of an older version.
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
        # The times of the history are compared with `trying_since`, to count the refusals of the current
        # attempts.
        history=tuple(replace(step, at=step.at + by) for step in found.history),
    )
