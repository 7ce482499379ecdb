"""Read the delivery row of any version of the app; write one that fits.

A text of a row holds 32 Ki units of UTF-16. The parts of a delivery have limits of their own, but JSON
escapes some characters, and no mail may remain without an outcome because its row is too long.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.adapters.serialization import read_document, write_document
from shared.deliveries.delivery import Delivery
from shared.deliveries.status import DeliveryStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.adapters.table_storage import Row

#: The columns that are read.
COLUMNS: Final = ("PartitionKey", "RowKey", "UpdatedAt", "Document")
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
#: Statuses of a transaction that found a row in another state than expected.
CONFLICTS: Final = frozenset({404, 409, 412})
_END_OF_TIME = 10**16
#: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model#property-types
MAX_DOCUMENT: Final = 32 * 1024
#: What a row can do without, in this order: each step shortens the result of the one before.
_SHORTER: Final[tuple[Callable[[Delivery], Delivery], ...]] = (
    lambda row: replace(row, history=row.history[-10:]),
    lambda row: replace(row, fields=row.fields[:5]),
    lambda row: replace(row, recipients=replace(row.recipients, domains=())),
    lambda row: replace(row, unreported_outcomes=row.unreported_outcomes[-1:]),
    lambda row: replace(row, warnings=()),
    lambda row: replace(row, problem=row.problem and replace(row.problem, params={})),
)


def time_key(moment: datetime) -> str:
    """Return a key by which rows are sorted newest first."""
    # A key for a time before 1970 would have a sign, and one after 2286 another digit, and would be sorted
    # wrongly.
    within = min(max(microseconds(moment), 1), _END_OF_TIME)
    return f"!{_END_OF_TIME - within:016d}"


def microseconds(moment: datetime) -> int:
    """Return the microseconds since 1970."""
    return (moment - _NEVER) // timedelta(microseconds=1)


def pending_key(delivery: Delivery) -> str:
    """Return the key of a pending mail's index row: oldest first."""
    return f"~{microseconds(delivery.queued_at):016d}!{delivery.message_id}"


def write_delivery(delivery: Delivery) -> str:
    """Write a delivery; one that is too long without what matters least."""
    text = write_document(delivery)
    for shortened in _SHORTER:
        if document_size(text) <= MAX_DOCUMENT:
            break
        delivery = shortened(delivery)
        text = write_document(delivery)
    return text


def document_size(text: str) -> int:
    """Return a text's size as storage counts it, in units of UTF-16."""
    return len(text.encode("utf-16-le")) // 2


def read_delivery(row: Row) -> Delivery:
    """Read the delivery in a row.

    If this version of the app cannot read it, the status is `other_version`, and only the ids and the time
    are set.
    """
    found = read_document(Delivery, row.get("Document"))
    if found is not None:
        return found
    moment = row.get("UpdatedAt")
    written = moment if isinstance(moment, datetime) else _NEVER
    tenant_id, message_id = str(row["PartitionKey"]), str(row["RowKey"]).rpartition("!")[2]
    return Delivery(tenant_id, message_id, DeliveryStatus.OTHER_VERSION, written, written, written)
