"""Who gets a mail, without saying who. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.stored import Stored


@dataclass(frozen=True, slots=True)
class Audience(Stored):
    """Who gets the mail, without saying who: counts, and domains in alphabetical order, not all of many."""

    to: int = 0
    cc: int = 0
    bcc: int = 0
    domains: tuple[str, ...] = ()


#: Before the mail could be read.
NOBODY: Final = Audience()
