"""Define the entries of a mail's history. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.deliveries.status import DeliveryStatus
from shared.forward_compatible import Stored


@dataclass(frozen=True, slots=True)
class DeliveryEvent(Stored):
    """One entry of the mail's history.

    Attributes:
        request_id: the id that Graph gave to the request, for Microsoft's support.
        contents: only for a conflict: the hashes of this mail's content and of the refused content.
        maybe_sent: Graph refused the mail, but may have sent it nevertheless, and it could not be looked up.
    """

    at: datetime
    status: DeliveryStatus
    code: str | None = None
    request_id: str | None = None
    contents: tuple[str, ...] = ()
    maybe_sent: bool = False
