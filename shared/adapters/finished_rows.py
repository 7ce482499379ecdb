"""Remove old mails from Azure Table Storage, 100 rows per call.

The index row of a mail is written in the same transaction as its own row. So if the index row has not changed
since it was listed, neither has the mail, and its row need not be read before it is removed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import batched, islice
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.data.tables import TableTransactionError

from shared.adapters.azure_errors import is_missing
from shared.adapters.delivery_row import COLUMNS, CONFLICTS, pending_key, read_delivery, time_key
from shared.adapters.table_storage import Row, etag_of, find_row, table_errors
from shared.deliveries.ports import DeliveryPage
from shared.deliveries.status import FINAL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from azure.data.tables import TableClient

    from shared.deliveries.delivery import Delivery

#: How many rows one call of the service returns at most.
_PAGE = 1000
#: A transaction has at most a hundred rows. A mail has two, or three if an outcome is unreported.
_MAILS_IN_A_TRANSACTION = 50
_UNREPORTED_IN_A_TRANSACTION = 33
#: The partition of the row that stores how far the removal has come; it sorts after every tenant.
_NO_TENANT = "~"
_PLACE = "removal-place"
_FINAL = frozenset(status.value for status in FINAL)


def next_tenant(table: TableClient, tenant_id: str) -> str | None:
    """Return the next tenant that has mails; None after the last one.

    The service finds the first row of the next partition without reading the rows before it.
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

    Each mail has the ETag of its index row. No mail becomes final before it is queued, so only index rows of
    mails that were queued before the moment are read.
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
    pending = _pending_keys(table, [mail for mail in deliveries if mail.outcome_count])
    unreported = [mail for mail in deliveries if pending_key(mail) in pending]
    others = [mail for mail in deliveries if pending_key(mail) not in pending]
    batches = [
        *batched(others, _MAILS_IN_A_TRANSACTION, strict=False),
        *batched(unreported, _UNREPORTED_IN_A_TRANSACTION, strict=False),
    ]
    return sum(_remove(table, some, pending) for some in batches)


def _pending_keys(table: TableClient, deliveries: Sequence[Delivery]) -> set[str]:
    """Return the keys of the index rows of pending mails, queued in this time.

    If an outcome of a finished mail is not reported, the mail has such a row.
    """
    if not deliveries:
        return set()
    keys = [pending_key(mail) for mail in deliveries]
    with table_errors():
        rows = table.query_entities(
            "PartitionKey eq @tenant and RowKey ge @first and RowKey le @last",
            parameters={"tenant": deliveries[0].tenant_id, "first": min(keys), "last": max(keys)},
            select=["RowKey"],
        )
        return {str(row["RowKey"]) for row in rows}


def _remove(table: TableClient, deliveries: Iterable[Delivery], pending: Collection[str]) -> int:
    """Remove mails in one transaction, without changed and missing rows.

    The service reports one conflict at a time. The rows concerned are left out, and the rest is tried again.
    """
    remaining = [(mail, operation) for mail in deliveries for operation in _operations(mail, pending)]
    while remaining:
        with table_errors():
            try:
                table.submit_transaction([operation for _, operation in remaining])
                break
            except TableTransactionError as error:
                if is_missing(error) or error.status_code not in CONFLICTS:
                    raise
                mail, _ = remaining[error.index]
                gone = error.status_code == 404  # noqa: PLR2004 - HTTP
                if gone:
                    del remaining[error.index]
                else:
                    remaining = [each for each in remaining if each[0] is not mail]
    return len({mail.message_id for mail, _ in remaining})


def _operations(mail: Delivery, pending: Collection[str]) -> list[tuple[Any, ...]]:
    keys = {"PartitionKey": mail.tenant_id}
    place = {**keys, "RowKey": f"{time_key(mail.queued_at)}!{mail.message_id}"}
    unchanged = {"etag": mail.etag, "match_condition": MatchConditions.IfNotModified}
    rows = [mail.message_id, *([key] if (key := pending_key(mail)) in pending else [])]
    return [("delete", place, unchanged), *(("delete", {**keys, "RowKey": row}) for row in rows)]
