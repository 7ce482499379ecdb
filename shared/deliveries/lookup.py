"""Find one mail in the delivery log, and the tenants that have mails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import NotFoundError
from shared.mail.fields import MESSAGE_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.deliveries.delivery import Delivery
    from shared.deliveries.ports import DeliveryLog, DeliveryLookup


def find_by_id(tenant_id: str, message_id: str, ports: DeliveryLookup) -> Delivery:
    """Return the row of one mail.

    Raises:
        NotFoundError: `delivery_not_found`, also for an id that no mail can have.
    """
    # Table Storage would refuse some of these ids as a key, and the request would fail.
    if not MESSAGE_ID.fullmatch(message_id):
        raise NotFoundError("delivery_not_found")
    delivery = ports.deliveries.find(tenant_id, message_id)
    if delivery is None:
        raise NotFoundError("delivery_not_found")
    return delivery


def tenants_with_mails(deliveries: DeliveryLog) -> Iterator[str]:
    """Yield every tenant that has mails, whether it has settings or not."""
    tenant_id = deliveries.next_tenant("")
    while tenant_id is not None:
        yield tenant_id
        tenant_id = deliveries.next_tenant(tenant_id)
