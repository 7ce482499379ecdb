"""Define the time at which a mail may be sent. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.forward_compatible import Stored


@dataclass(frozen=True, slots=True)
class Slot(Stored):
    """A time in the schedule of a mailbox.

    Attributes:
        at: the time that was given to the mail. If the line is shifted later, the mail is sent later too.
        line: the number of the line of waiting mails (`sending/rate_limit/schedule.py`) to which the slot
            belongs. A slot of an earlier line is no longer valid.
        inserted: the slot was inserted before the line, and is not shifted with it.
        mailbox: the first characters of the mailbox's key.
    """

    at: datetime
    line: int = 0
    inserted: bool = False
    mailbox: str = ""
