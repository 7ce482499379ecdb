"""When a mail that waits for its slot is expected to be sent, as far as that is known. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the schedule of a mailbox says of one mail.

    Attributes:
        at: when its slot is.
        mails_before: about how many mails are sent before it.
        ends_before: when the time for its attempts is over, if that is before its slot.
    """

    at: datetime | None = None
    mails_before: int | None = None
    ends_before: datetime | None = None


#: Of a mail that waits for no slot, or of which nothing is known.
NO_FORECAST: Final = Forecast()
