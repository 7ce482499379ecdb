"""Store the delivery log in Azure Table Storage.

Each mail has up to three rows in the partition of its tenant, which are written in one transaction:

* the mail itself, under its message id;
* an index row that begins with `!`, with a key that decreases with time, so that the newest mail comes first;
* until the mail is final and its outcome is reported, an index row that begins with `~`, with a key that
  increases with time, so that the oldest mail comes first.

No message id contains either character.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import batched, islice
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.data.tables import TableTransactionError, UpdateMode

from shared.adapters import finished_rows
from shared.adapters.azure_errors import is_missing
from shared.adapters.delivery_list import list_deliveries
from shared.adapters.delivery_row import (
    COLUMNS,
    CONFLICTS,
    pending_key,
    read_delivery,
    time_key,
    write_delivery,
)
from shared.adapters.storage_clock import WRITTEN_AT, ResponseTime, convert_to_own_clock, utc_now
from shared.adapters.table_storage import Row, etag_in, etag_of, find_row, find_written, table_errors
from shared.deliveries.status import PENDING, DeliveryStatus
from shared.errors import TransientError
from shared.storage_names import DELIVERIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from azure.data.tables import TableServiceClient

    from shared.deliveries.delivery import Delivery
    from shared.deliveries.ports import DeliveryPage, DeliveryQuery

_MAX_COUNTED = 1000
_MAX_IN_A_TRANSACTION = 100


class TableDeliveryLog:
    """The delivery log; each tenant has a partition."""

    def __init__(self, service: TableServiceClient, now: Callable[[], datetime] = utc_now) -> None:
        self._table = service.get_table_client(DELIVERIES)
        self._now = now

    def add(self, delivery: Delivery) -> Delivery | None:
        """Write a new row and return it; None if the mail already has one."""
        return self._write(replace(delivery, stored_status=None), ("create", self._stamped(delivery)))

    def save(self, delivery: Delivery) -> Delivery | None:
        """Write a row if it has not changed since it was read, else None."""
        condition = {
            "etag": delivery.etag,
            "match_condition": MatchConditions.IfNotModified,
            # Columns that another version of the app added are preserved.
            "mode": UpdateMode.MERGE,
        }
        return self._write(delivery, ("update", self._stamped(delivery), condition))

    def find(self, tenant_id: str, message_id: str) -> Delivery | None:
        """Return the row of one mail, or None."""
        response_time = ResponseTime()
        row = find_row(self._table, tenant_id, message_id, raw_response_hook=response_time.note)
        if row is None:
            return None
        found = convert_to_own_clock(read_delivery(row), row, response_time.moment, self._now())
        return replace(found, etag=etag_of(row), stored_status=found.status)

    def _stamped(self, delivery: Delivery) -> dict[str, Any]:
        return {**_row(delivery), WRITTEN_AT: self._now()}

    def list(self, query: DeliveryQuery) -> DeliveryPage:
        """Return a page of rows, for reading only.

        It may be short or empty, and still be followed by another.
        """
        return list_deliveries(self._table, query)

    def count(self, tenant_id: str, statuses: Iterable[DeliveryStatus]) -> int:
        """Count the pending mails in these statuses; 1000 means 1000 or more."""
        return sum(1 for _ in islice(self._pending(tenant_id, statuses, "RowKey"), _MAX_COUNTED))

    def list_pending(
        self, tenant_id: str, statuses: Iterable[DeliveryStatus], limit: int
    ) -> tuple[Delivery, ...]:
        """Return the pending mails in these statuses, oldest first, read-only."""
        return tuple(islice(self.pending(tenant_id, statuses), limit))

    def pending(self, tenant_id: str, statuses: Iterable[DeliveryStatus]) -> Iterator[Delivery]:
        """Yield what `list_pending` returns, without a limit.

        The service returns a page of rows at a time.
        """
        return map(read_delivery, self._pending(tenant_id, statuses, *COLUMNS))

    def next_tenant(self, tenant_id: str) -> str | None:
        """Return the next tenant that has mails; None after the last one."""
        return finished_rows.next_tenant(self._table, tenant_id)

    def finished_before(self, tenant_id: str, moment: datetime, continuation: str | None) -> DeliveryPage:
        """Return some of a tenant's mails that became final before a moment.

        They are to be removed.
        """
        return finished_rows.finished_before(self._table, tenant_id, moment, continuation)

    def remove_finished(self, deliveries: Sequence[Delivery]) -> int:
        """Remove mails of a tenant that are unchanged; return how many."""
        return finished_rows.remove_finished(self._table, deliveries)

    def removal_place(self) -> tuple[str, str | None]:
        """Return how far the removal of old mails has come.

        It is a tenant and a continuation token in its log.
        """
        return finished_rows.load_place(self._table)

    def save_removal_place(self, tenant_id: str, continuation: str | None) -> None:
        """Store how far the removal has come; an empty tenant is the start."""
        finished_rows.save_place(self._table, tenant_id, continuation)

    def count_all(self, tenant_id: str) -> int:
        """Count a tenant's mails in every status; this reads all of them."""
        return sum("-" <= key < "~" for key in self._keys(tenant_id))

    def remove_all(self, tenant_id: str) -> None:
        """Remove every row of a tenant; a transaction takes 100 rows.

        https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions
        """
        for keys in batched(self._keys(tenant_id), _MAX_IN_A_TRANSACTION, strict=False):
            rows = [{"PartitionKey": tenant_id, "RowKey": key} for key in keys]
            with table_errors():
                self._table.submit_transaction([("delete", row) for row in rows])

    def _keys(self, tenant_id: str) -> Iterator[str]:
        with table_errors():
            for row in self._table.query_entities(
                "PartitionKey eq @tenant", parameters={"tenant": tenant_id}, select=["RowKey"]
            ):
                yield str(row["RowKey"])

    def _pending(self, tenant_id: str, statuses: Iterable[DeliveryStatus], *columns: str) -> Iterator[Row]:
        condition, values = _any_of(statuses)
        values |= {"tenant": tenant_id, "first": "~"}
        with table_errors():
            rows = self._table.query_entities(
                f"PartitionKey eq @tenant and RowKey ge @first and {condition}",
                parameters=values,
                select=list(columns),
            )
            yield from rows

    def _write(self, delivery: Delivery, main: tuple[Any, ...]) -> Delivery | None:
        operations = [main, ("upsert", _time_index_row(delivery))]
        if delivery.status in PENDING or delivery.unreported_outcomes:
            operations.append(("upsert", _pending_index_row(delivery)))
        elif delivery.stored_status in PENDING or (delivery.outcome_count and delivery.stored_status):
            operations.append(("delete", _pending_index_row(delivery)))
        try:
            results = self._submit(operations)
        except TransientError:
            written = self._find_own_write(delivery)
            if written is None:
                raise
            return written
        if results is None:
            return self._find_own_write(delivery)
        return replace(delivery, etag=etag_in(results[0]), stored_status=delivery.status)

    def _find_own_write(self, delivery: Delivery) -> Delivery | None:
        """Return the stored row if it equals the row that was to be written.

        If so, the write succeeded, and only its response was lost. Without this check, a worker would take
        its own claim for that of a crashed worker.
        """
        etag = find_written(self._table, _row(delivery))
        return None if etag is None else replace(delivery, etag=etag, stored_status=delivery.status)

    def _submit(self, operations: Sequence[tuple[Any, ...]]) -> Sequence[Mapping[str, Any]] | None:
        """Write all rows or none; return None if a row has changed since."""
        with table_errors():
            try:
                return self._table.submit_transaction(operations)
            except TableTransactionError as error:
                if is_missing(error) or error.status_code not in CONFLICTS:
                    raise
                last = len(operations) - 1
                if last == 0 or error.index != last or operations[last][0] != "delete":
                    return None
        # The only conflict is that the row to delete does not exist any more, so the other rows are written.
        return self._submit(operations[:last])


def _row(delivery: Delivery) -> dict[str, Any]:
    return {
        "PartitionKey": delivery.tenant_id,
        "RowKey": delivery.message_id,
        "Status": delivery.status.value,
        "UpdatedAt": delivery.updated_at,
        "Document": write_delivery(delivery),
    }


def _any_of(statuses: Iterable[DeliveryStatus]) -> tuple[str, dict[str, Any]]:
    """Write a filter that matches any of these statuses, and its parameters."""
    values: dict[str, Any] = {f"s{place}": status.value for place, status in enumerate(statuses)}
    # The SDK recognises a parameter only between spaces, so there are spaces next to the brackets.
    return f"( {' or '.join(f'Status eq @{name}' for name in values)} )", values


def _time_index_row(delivery: Delivery) -> dict[str, Any]:
    """Return the index row in time order, without what lists do not show."""
    short = replace(delivery, history=(), fields=(), unreported_outcomes=())
    return {**_row(short), "RowKey": f"{time_key(delivery.queued_at)}!{delivery.message_id}"}


def _pending_index_row(delivery: Delivery) -> dict[str, Any]:
    """Return the index row of a pending mail."""
    return {**_time_index_row(delivery), "RowKey": pending_key(delivery)}
