"""Count the recipients of a mail without storing their addresses. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.forward_compatible import Stored

if TYPE_CHECKING:
    from shared.mail.message import MailRequest

_MAX_DOMAINS = 50


@dataclass(frozen=True, slots=True)
class RecipientSummary(Stored):
    """The number of recipients and their domains, without addresses.

    Domains are sorted, and only some of many are kept.
    """

    to: int = 0
    cc: int = 0
    bcc: int = 0
    domains: tuple[str, ...] = ()


#: Before the mail could be read.
NOBODY: Final = RecipientSummary()


def summarize_recipients(request: MailRequest) -> RecipientSummary:
    """Count the recipients of a mail and list their domains."""
    domains = sorted({recipient.address.rpartition("@")[2] for recipient in request.recipients})
    counts = len(request.to), len(request.cc), len(request.bcc)
    return RecipientSummary(*counts, tuple(domains[:_MAX_DOMAINS]))
