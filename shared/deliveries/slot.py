"""When a mail may be sent by the schedule of its mailbox. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.stored import Stored


@dataclass(frozen=True, slots=True)
class Slot(Stored):
    """When a mail may be sent.

    Attributes:
        at: the time, before any later shift of the line.
        line: the number of the line; a slot of an earlier line is not valid.
        inserted: it is before the line, and is not shifted with it.
        mailbox: the start of the mailbox's key.
    """

    at: datetime
    line: int = 0
    inserted: bool = False
    mailbox: str = ""
