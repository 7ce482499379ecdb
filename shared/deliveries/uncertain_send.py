"""Define the record of a send whose outcome is not known. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from shared.forward_compatible import Stored, stored_as


@dataclass(frozen=True, slots=True)
class UncertainSend(Stored):
    """A send whose outcome is unknown. It happened at `since` or before.

    Attributes:
        consent_version: the version of the consent with which the mail was sent; None if the worker crashed
            before it recorded the version.
        worker_began_at: when the worker that crashed began. A consent given later is another one than the
            one with which the mail was sent.
        claim_id: the claim with which the mail may have been sent.
        refused: Graph refused the mail. It is sent again once one look-up does not find it; if it can't be
            looked up, it counts as not sent.
        mailbox: the owner of the mailbox from which a refused mail was sent.
        copy_seen: an earlier look-up found a copy that waited to be sent. If a later look-up does not find
            it, either the mail was sent and its copy is not there yet, or a person removed it. In both cases
            the mail is not sent again.
    """

    since: datetime
    consent_version: int | None = field(default=None, metadata=stored_as("generation"))
    worker_began_at: datetime | None = field(default=None, metadata=stored_as("begun"))
    claim_id: str | None = None
    refused: bool = False
    mailbox: str | None = None
    copy_seen: bool = field(default=False, metadata=stored_as("seen"))


@dataclass(frozen=True, slots=True)
class HandOver(Stored):
    """The record, made directly before, that a mail is now sent to Graph."""

    at: datetime
    consent_version: int = field(metadata=stored_as("generation"))
