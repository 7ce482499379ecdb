"""Times that another host wrote, on the clock of this one, judged by the only clock that all hosts share.

Storage stamps each row when it is written, and each answer when it is sent. The difference is the age of a
row, whatever the hosts' clocks say. Each row also holds what its writer's clock said, so the difference
between that clock and this host's is known, and the times in the row are moved by it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.core.pipeline import PipelineResponse

    from shared.adapters.tables import Row
    from shared.deliveries.delivery import Delivery

#: The column that holds what the writer's clock said.
WRITTEN_AT = "WrittenAt"
#: An answer tells its second, and is some time on its way.
_UNNOTICED = timedelta(seconds=5)


def utc_now() -> datetime:
    """Return what this host's clock says."""
    return datetime.now(UTC)


class AnswerTime:
    """What storage's clock said in an answer; pass `note` as the SDK's `raw_response_hook`."""

    def __init__(self) -> None:
        self.moment: datetime | None = None

    def note(self, response: PipelineResponse[Any, Any]) -> None:
        """Read the header `Date` of an answer; one without it tells nothing."""
        text = response.http_response.headers.get("Date")
        try:
            found = parsedate_to_datetime(text) if text else None
        except (ValueError, OverflowError):
            found = None
        self.moment = found.replace(tzinfo=UTC) if found and found.tzinfo is None else found


def on_own_clock(found: Delivery, row: Row, answered: datetime | None, now: datetime) -> Delivery:
    """Move the times of a row, which its writer's clock measured, to this host's clock.

    Args:
        found: what the row says.
        row: the row, with its writer's clock and storage's stamp.
        answered: what storage's clock said when it was read.
        now: what this host's clock says.
    """
    written_at, stamp = row.get(WRITTEN_AT), row.metadata.get("timestamp")  # type: ignore[attr-defined]
    if not isinstance(written_at, datetime) or not isinstance(stamp, datetime) or answered is None:
        return found
    ahead = now - max(answered - stamp, timedelta(0)) - written_at
    return found if abs(ahead) <= _UNNOTICED else _moved(found, ahead)


def _moved(found: Delivery, by: timedelta) -> Delivery:
    doubt = found.doubt
    return replace(
        found,
        updated_at=found.updated_at + by,
        trying_since=found.trying_since + by,
        claim_ends_at=found.claim_ends_at and found.claim_ends_at + by,
        # Equal to the end of the claim, or the claim is taken for one of an older version.
        claim_id_until=found.claim_id_until and found.claim_id_until + by,
        lost_since=found.lost_since and found.lost_since + by,
        next_attempt_at=found.next_attempt_at and found.next_attempt_at + by,
        paused_since=found.paused_since and found.paused_since + by,
        doubt=doubt and replace(doubt, since=doubt.since + by, begun=doubt.begun and doubt.begun + by),
        # Compared with `trying_since`, to count the refusals of the present attempts.
        history=tuple(replace(step, at=step.at + by) for step in found.history),
    )
