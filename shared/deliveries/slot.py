"""When a mail may be sent, as its mailbox's schedule has it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.stored import Stored


@dataclass(frozen=True, slots=True)
class Slot(Stored):
    """When a mail may be sent.

    Attributes:
        at: the time, without what the line was moved since.
        line: the number of the line; a slot of an earlier one is void.
        inserted: it stands before the line, and is not moved with it.
        mailbox: the beginning of the key of the mailbox whose line it is.
    """

    at: datetime
    line: int = 0
    inserted: bool = False
    mailbox: str = ""
