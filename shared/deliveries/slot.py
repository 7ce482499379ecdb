"""Define the time at which a mail may be sent. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.forward_compatible import Stored


@dataclass(frozen=True, slots=True)
class Slot(Stored):
    """A time in the schedule of a mailbox.

    Attributes:
        at: the time, before any later shift of the line.
        line: the number of the line (`sending/rate_limit/schedule.py`); one of an earlier line is not valid.
        inserted: it is before the line, and is not shifted with it.
        mailbox: the start of the mailbox's key.
    """

    at: datetime
    line: int = 0
    inserted: bool = False
    mailbox: str = ""
