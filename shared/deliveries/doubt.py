"""What makes it uncertain whether a mail was sent, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.stored import Stored


@dataclass(frozen=True, slots=True)
class Doubt(Stored):
    """A mail may have been sent, at this moment at the latest.

    Attributes:
        generation: the consent it was sent with; None where its worker died before it could say.
        begun: when that worker had begun, so that a consent given later is known to be another.
        claim_id: the claim under which it may have been sent.
        refused: Graph refused the mail. It is sent again as soon as one look does not find it, and does not
            end as unknown where nobody can look.
        mailbox: of a refused mail, whose mailbox it was handed to.
        seen: a copy was found that waited to be sent. Where it is not found any more, it was sent, and its
            copy comes late, or a person removed it; it is not sent again in either case.
    """

    since: datetime
    generation: int | None = None
    begun: datetime | None = None
    claim_id: str | None = None
    refused: bool = False
    mailbox: str | None = None
    seen: bool = False


@dataclass(frozen=True, slots=True)
class HandOver(Stored):
    """A mail is being handed to Graph from this moment on, with this consent."""

    at: datetime
    generation: int
