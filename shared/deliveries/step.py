"""The steps of a mail's history, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.deliveries.status import DeliveryStatus
from shared.stored import Stored


@dataclass(frozen=True, slots=True)
class Step(Stored):
    """One thing that happened to the mail.

    Attributes:
        request_id: Graph's own id of its answer.
        contents: of a conflict, the hash of this mail's content and that of the content that was refused.
        maybe_sent: Graph refused the mail, may have sent it all the same, and nobody could look for it.
    """

    at: datetime
    status: DeliveryStatus
    code: str | None = None
    request_id: str | None = None
    contents: tuple[str, ...] = ()
    maybe_sent: bool = False
