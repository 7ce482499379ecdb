"""List mails of the delivery log in Azure Table Storage.

Table Storage finds rows efficiently only by key. So pending mails are listed by means of their index rows. To
list mails of another status, the rows in time order are read, and each call reads a limited number of them.
So a page may be short or empty, and still be followed by another.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from shared.adapters.delivery_row import read_delivery, time_key
from shared.adapters.table_storage import Row, table_errors
from shared.deliveries.ports import DeliveryPage
from shared.deliveries.status import PENDING, DeliveryStatus

if TYPE_CHECKING:
    from azure.data.tables import TableClient

    from shared.deliveries.ports import DeliveryQuery

#: The most rows that one call of the service returns.
_ROWS_IN_A_CALL = 1000
_CALLS = 5
#: If there are more pending mails than this, the rows in time order are read instead.
_MAX_PENDING = 3000


def list_deliveries(table: TableClient, query: DeliveryQuery) -> DeliveryPage:
    """Return a page of a tenant's mails, newest first."""
    newest, oldest = _bounds(query)
    if query.status in PENDING:
        found = _pending(table, query, newest, oldest)
        if found is not None:
            return _page(found, query.limit, None)
    if query.status is None:
        return _page(_rows(table, query, newest, oldest, query.limit + 1), query.limit, None)
    return _search(table, query, newest, oldest)


def _bounds(query: DeliveryQuery) -> tuple[str, str]:
    """Return the keys between which the wanted rows in time order are."""
    newest = query.continuation or (time_key(query.until) + '"' if query.until else "!")
    return newest, time_key(query.since) + '"' if query.since else '"'


def _search(table: TableClient, query: DeliveryQuery, newest: str, oldest: str) -> DeliveryPage:
    """Read rows until the page is full, in at most a few calls."""
    found: list[Row] = []
    # The first call reads a few rows only, which are enough if many mails have the status.
    few = min(2 * query.limit, _ROWS_IN_A_CALL)
    for most in (few, *[_ROWS_IN_A_CALL] * (_CALLS - 1)):
        rows = _rows(table, query, newest, oldest, most)
        found += [row for row in rows if _has_status(row, query.status)]
        if len(found) > query.limit or len(rows) < most:
            return _page(found, query.limit, None)
        newest = str(rows[-1]["RowKey"])
    return _page(found, query.limit, newest)


def _has_status(row: Row, status: DeliveryStatus | None) -> bool:
    stored = row.get("Status")
    if status is DeliveryStatus.OTHER_VERSION and stored not in set(DeliveryStatus):
        return True
    return stored == status


def _rows(table: TableClient, query: DeliveryQuery, newest: str, oldest: str, most: int) -> list[Row]:
    with table_errors():
        rows = table.query_entities(
            "PartitionKey eq @tenant and RowKey gt @newest and RowKey lt @oldest",
            parameters={"tenant": query.tenant_id, "newest": newest, "oldest": oldest},
            results_per_page=min(most, _ROWS_IN_A_CALL),
        )
        return list(islice(rows, most))


def _pending(table: TableClient, query: DeliveryQuery, newest: str, oldest: str) -> list[Row] | None:
    """Return the pending mails in a status, with the keys in time order.

    Returns None if there are too many.
    """
    with table_errors():
        rows = table.query_entities(
            "PartitionKey eq @tenant and RowKey ge @first and Status eq @status",
            parameters={"tenant": query.tenant_id, "first": "~", "status": str(query.status)},
        )
        pending = list(islice(rows, _MAX_PENDING + 1))
    if len(pending) > _MAX_PENDING:
        return None
    in_time = [{**row, "RowKey": _time_index_key(row)} for row in pending]
    between = (row for row in in_time if newest < row["RowKey"] < oldest)
    return sorted(between, key=lambda row: row["RowKey"])


def _time_index_key(row: Row) -> str:
    """Return the key of the mail's index row in time order."""
    mail = read_delivery(row)
    return f"{time_key(mail.queued_at)}!{mail.message_id}"


def _page(found: list[Row], limit: int, further: str | None) -> DeliveryPage:
    """Make a page; `further` is its continuation if it has all found rows."""
    shown = found[:limit]
    more = str(shown[-1]["RowKey"]) if len(found) > limit else further
    return DeliveryPage(tuple(read_delivery(row) for row in shown), more)
