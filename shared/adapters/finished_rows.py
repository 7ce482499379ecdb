"""Remove old mails from Azure Table Storage, 100 rows per call.

A mail's index row is written in the same transaction as its own row, so while the index row is as it was
listed, so is the mail: no row has to be read before it is removed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import batched, islice
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.data.tables import TableTransactionError

from shared.adapters.azure_errors import is_missing
from shared.adapters.delivery_row import COLUMNS, CONFLICTS, read_delivery, time_key
from shared.adapters.table_storage import Row, etag_of, find_row, table_errors
from shared.deliveries.ports import DeliveryPage
from shared.deliveries.status import FINAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from azure.data.tables import TableClient

    from shared.deliveries.delivery import Delivery

#: As many as one call of the service returns.
_PAGE = 1000
#: A transaction takes a hundred rows, and a mail has two.
_MAILS_IN_A_TRANSACTION = 50
#: The partition of the row that stores how far the removal has come; it sorts after every tenant.
_NO_TENANT = "~"
_PLACE = "removal-place"
_FINAL = frozenset(status.value for status in FINAL)


def next_tenant(table: TableClient, tenant_id: str) -> str | None:
    """Return the next partition.

    The service finds its first row without reading the rows before it.
    """
    with table_errors():
        rows = table.query_entities(
            "PartitionKey gt @tenant and PartitionKey lt @last",
            parameters={"tenant": tenant_id, "last": _NO_TENANT},
            select=["PartitionKey"],
            results_per_page=1,
        )
        row = next(iter(rows), None)
    return None if row is None else str(row["PartitionKey"])


def load_place(table: TableClient) -> tuple[str, str | None]:
    """Return how far the removal has come.

    It is a tenant and a continuation token in its log.
    """
    row = find_row(table, _NO_TENANT, _PLACE) or {}
    return str(row.get("Tenant", "")), row.get("Continuation") or None


def save_place(table: TableClient, tenant_id: str, continuation: str | None) -> None:
    """Store how far the removal has come."""
    row = {"PartitionKey": _NO_TENANT, "RowKey": _PLACE}
    with table_errors():
        table.upsert_entity(row | {"Tenant": tenant_id, "Continuation": continuation or ""})


def finished_before(
    table: TableClient, tenant_id: str, moment: datetime, continuation: str | None
) -> DeliveryPage:
    """Return some mails that became final before a moment.

    Each comes with the ETag of its index row.

    No mail becomes final before it is queued, so only index rows from before the moment are read.
    """
    with table_errors():
        rows = table.query_entities(
            "PartitionKey eq @tenant and RowKey gt @first and RowKey lt @last",
            parameters={"tenant": tenant_id, "first": continuation or time_key(moment), "last": '"'},
            select=[*COLUMNS, "Status"],
            results_per_page=_PAGE,
        )
        some = list(islice(rows, _PAGE))
    finished = tuple(
        replace(read_delivery(row), etag=etag_of(row)) for row in some if _is_finished(row, moment)
    )
    return DeliveryPage(finished, str(some[-1]["RowKey"]) if len(some) == _PAGE else None)


def _is_finished(row: Row, moment: datetime) -> bool:
    updated_at = row.get("UpdatedAt")
    return row.get("Status") in _FINAL and isinstance(updated_at, datetime) and updated_at < moment


def remove_finished(table: TableClient, deliveries: Sequence[Delivery]) -> int:
    """Remove mails whose index rows are unchanged; return how many."""
    return sum(_remove(table, some) for some in batched(deliveries, _MAILS_IN_A_TRANSACTION, strict=False))


def _remove(table: TableClient, deliveries: Iterable[Delivery]) -> int:
    """Remove some mails in one call, except changed and missing ones."""
    left = [(mail, operation) for mail in deliveries for operation in _operations(mail)]
    while left:
        with table_errors():
            try:
                table.submit_transaction([operation for _, operation in left])
                break
            except TableTransactionError as error:
                if is_missing(error) or error.status_code not in CONFLICTS:
                    raise
                mail, _ = left[error.index]
                gone = error.status_code == 404  # noqa: PLR2004 - HTTP
                left = [
                    each
                    for place, each in enumerate(left)
                    if _stays(place, each, error.index, mail, gone=gone)
                ]
    return len({mail.message_id for mail, _ in left})


def _stays(place: int, each: tuple[Delivery, Any], index: int, mail: Delivery, *, gone: bool) -> bool:
    """Return whether to try an operation again.

    Not where its row does not exist any more or its mail has changed.
    """
    return place != index if gone else each[0] is not mail


def _operations(mail: Delivery) -> list[tuple[Any, ...]]:
    keys = {"PartitionKey": mail.tenant_id}
    place = {**keys, "RowKey": f"{time_key(mail.queued_at)}!{mail.message_id}"}
    unchanged = {"etag": mail.etag, "match_condition": MatchConditions.IfNotModified}
    return [("delete", place, unchanged), ("delete", {**keys, "RowKey": mail.message_id})]
