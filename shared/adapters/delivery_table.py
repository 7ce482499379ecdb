"""Azure Table Storage: the delivery log.

Each mail has two rows in its tenant's partition, written in one transaction, which is one call: the
mail itself under its message id, and its place in time under `!` and a key that falls as time rises,
so that reading the partition from the start gives the newest first. `!` is in no message id.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.data.tables import TableTransactionError, UpdateMode

from shared.adapters.documents import read_document, write_document
from shared.adapters.tables import etag_of, find_row, table_errors
from shared.deliveries.delivery import Delivery, DeliveryStatus
from shared.ports import DeliveryPage, DeliveryQuery
from shared.storage_names import DELIVERIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from azure.data.tables import TableServiceClient

_MOST_COUNTED = 1000
_END_OF_TIME = 10**16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONFLICTS = frozenset({404, 409, 412})


class TableDeliveryLog:
    """The delivery log: partition tenant id, one row a mail and one for its place in time."""

    def __init__(self, service: TableServiceClient) -> None:
        self._table = service.get_table_client(DELIVERIES)

    def add(self, delivery: Delivery) -> Delivery | None:
        """Write a new row and return it; None where the mail has one already."""
        return self._write(delivery, ("create", _row(delivery)), ("upsert", _place(delivery)))

    def save(self, delivery: Delivery) -> Delivery | None:
        """Write a row if it is still the one that was read; None where it is not."""
        condition = {
            "etag": delivery.etag,
            "match_condition": MatchConditions.IfNotModified,
            "mode": UpdateMode.REPLACE,
        }
        return self._write(delivery, ("update", _row(delivery), condition), ("upsert", _place(delivery)))

    def find(self, tenant_id: str, message_id: str) -> Delivery | None:
        """Return the row of one mail, or None."""
        row = find_row(self._table, tenant_id, message_id)
        if row is None:
            return None
        return replace(read_document(Delivery, row["Document"]), etag=etag_of(row))

    def list(self, query: DeliveryQuery) -> DeliveryPage:
        """Return a page of rows, for reading only: without their histories and ETags."""
        conditions = ["PartitionKey eq @tenant", "RowKey gt @newest", "RowKey lt @oldest"]
        newest = query.continuation or (_time_key(query.until) + '"' if query.until else "!")
        values = {
            "tenant": query.tenant_id,
            "newest": newest,
            "oldest": _time_key(query.since) + '"' if query.since else '"',
        }
        if query.status:
            conditions.append("Status eq @status")
            values["status"] = query.status.value
        with table_errors():
            rows = self._table.query_entities(
                " and ".join(conditions), parameters=values, results_per_page=query.limit
            )
            some = list(islice(rows, query.limit + 1))
        shown = some[: query.limit]
        more = str(shown[-1]["RowKey"]) if len(some) > query.limit else None
        return DeliveryPage(tuple(read_document(Delivery, row["Document"]) for row in shown), more)

    def count(self, tenant_id: str, statuses: Iterable[DeliveryStatus]) -> int:
        """Count the mails in these states; a thousand stands for any more."""
        named = {f"s{place}": status.value for place, status in enumerate(statuses)}
        anyone = " or ".join(f"Status eq @{name}" for name in named)
        # The SDK splits the filter at blanks, so a parameter must not touch the bracket.
        condition = f"PartitionKey eq @tenant and RowKey lt @oldest and ({anyone} )"
        with table_errors():
            rows = self._table.query_entities(
                condition, parameters={"tenant": tenant_id, "oldest": '"', **named}, select=["RowKey"]
            )
            return sum(1 for _ in islice(rows, _MOST_COUNTED))

    def _write(self, delivery: Delivery, *operations: tuple[Any, ...]) -> Delivery | None:
        with table_errors():
            try:
                results = self._table.submit_transaction(list(operations))
            except TableTransactionError as error:
                if error.status_code in _CONFLICTS:
                    return None
                raise
        return replace(delivery, etag=str(results[0]["etag"]))


def _row(delivery: Delivery) -> dict[str, Any]:
    return {
        "PartitionKey": delivery.tenant_id,
        "RowKey": delivery.message_id,
        "Status": delivery.status.value,
        "UpdatedAt": delivery.updated_at,
        "Document": write_document(delivery),
    }


def _place(delivery: Delivery) -> dict[str, Any]:
    """Return the row in time: the same, but for what a list does not show."""
    short = replace(delivery, history=(), fields=())
    return {**_row(short), "RowKey": f"{_time_key(delivery.queued_at)}!{delivery.message_id}"}


def _time_key(moment: datetime) -> str:
    """Return a key that falls as time rises, by the microsecond."""
    return f"!{_END_OF_TIME - (moment - _EPOCH) // timedelta(microseconds=1):016d}"
