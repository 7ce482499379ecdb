"""Define what the log stores about a mail's recipients. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.forward_compatible import Stored


@dataclass(frozen=True, slots=True)
class RecipientSummary(Stored):
    """The number of recipients and their domains, without addresses.

    Domains are sorted, and only some of many are kept.
    """

    to: int = 0
    cc: int = 0
    bcc: int = 0
    domains: tuple[str, ...] = ()


#: The value until the mail has been read.
NO_RECIPIENTS: Final = RecipientSummary()
