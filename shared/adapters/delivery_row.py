"""Read a delivery row that any version of the app wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.adapters.serialization import read_document
from shared.deliveries.delivery import Delivery
from shared.deliveries.status import DeliveryStatus

if TYPE_CHECKING:
    from shared.adapters.table_storage import Row

#: The columns that are read.
COLUMNS: Final = ("PartitionKey", "RowKey", "UpdatedAt", "Document")
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


#: Statuses of a transaction that found a row in another state than expected.
CONFLICTS: Final = frozenset({404, 409, 412})
_END_OF_TIME = 10**16


def time_key(moment: datetime) -> str:
    """Return a key that falls as time rises, in microseconds."""
    # Before 1970 and after 2286 a key would have a sign or one more digit, and sort wrongly.
    within = min(max(microseconds(moment), 1), _END_OF_TIME)
    return f"!{_END_OF_TIME - within:016d}"


def microseconds(moment: datetime) -> int:
    """Return the microseconds since 1970."""
    return (moment - _NEVER) // timedelta(microseconds=1)


def read_delivery(row: Row) -> Delivery:
    """Read a row; an unreadable one has the status `other_version`.

    Then only its names and time are set.
    """
    found = read_document(Delivery, row.get("Document"))
    if found is not None:
        return found
    moment = row.get("UpdatedAt")
    written = moment if isinstance(moment, datetime) else _NEVER
    tenant_id, message_id = str(row["PartitionKey"]), str(row["RowKey"]).rpartition("!")[2]
    return Delivery(tenant_id, message_id, DeliveryStatus.OTHER_VERSION, written, written, written)
