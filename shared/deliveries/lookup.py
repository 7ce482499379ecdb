"""Find one mail in the delivery log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import NotFoundError
from shared.mail.fields import MESSAGE_ID

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.deliveries.ports import DeliveryLookup


def find_by_id(tenant_id: str, message_id: str, ports: DeliveryLookup) -> Delivery:
    """Return a mail.

    Raises:
        NotFoundError: `delivery_not_found`, also for an impossible id: a table refuses such a key.
    """
    found = ports.deliveries.find(tenant_id, message_id) if MESSAGE_ID.fullmatch(message_id) else None
    if found is None:
        raise NotFoundError("delivery_not_found")
    return found
