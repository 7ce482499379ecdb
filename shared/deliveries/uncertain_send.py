"""Define what makes it uncertain whether a mail was sent. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from shared.forward_compatible import Stored, stored_as


@dataclass(frozen=True, slots=True)
class UncertainSend(Stored):
    """A send whose outcome is unknown, at `since` or before.

    Attributes:
        consent_version: the consent it was sent with; None where its worker crashed before that was recorded.
        begun: when that worker began, so that a later consent is known to be another one.
        claim_id: the claim with which it may have been sent.
        refused: Graph refused the mail. It is sent again once one look-up does not find it; if it can't be
            looked up, it counts as not sent.
        mailbox: the owner of the mailbox that a refused mail was sent from.
        seen: a copy was found that waited to be sent. If it is not found any more, it was sent and its
            copy is late, or a person removed it; it is not sent again in either case.
    """

    since: datetime
    consent_version: int | None = field(default=None, metadata=stored_as("generation"))
    begun: datetime | None = None
    claim_id: str | None = None
    refused: bool = False
    mailbox: str | None = None
    seen: bool = False


@dataclass(frozen=True, slots=True)
class HandOver(Stored):
    """The mail is being sent to Graph from this moment, with this consent."""

    at: datetime
    consent_version: int = field(metadata=stored_as("generation"))
