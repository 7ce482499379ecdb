"""Define the forecast of when a waiting mail will be sent. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final


@dataclass(frozen=True, slots=True)
class Forecast:
    """The expected time of one mail by the schedule of its mailbox.

    Attributes:
        at: the time of its slot.
        mails_before: the estimated number of mails before it.
        ends_before: the time at which its attempts end, if that is before its slot.
    """

    at: datetime | None = None
    mails_before: int | None = None
    ends_before: datetime | None = None


#: For a mail that waits for no slot, or whose schedule is unknown.
NO_FORECAST: Final = Forecast()
