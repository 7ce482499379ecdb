"""Azure Table Storage: the lists of the delivery log.

Tables find rows efficiently only by key. So unfinished mails are listed from their index rows among the
pending ones, and a list of another status reads a limited number of rows: a page may be short or empty, and
still be followed by another.
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
#: With more pending mails than this, the rows in time order are read instead.
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
    """Return the keys between which the rows in time order lie."""
    newest = query.continuation or (time_key(query.until) + '"' if query.until else "!")
    return newest, time_key(query.since) + '"' if query.since else '"'


def _search(table: TableClient, query: DeliveryQuery, newest: str, oldest: str) -> DeliveryPage:
    """Read rows until the page is full, in at most a few calls."""
    found: list[Row] = []
    # A few rows are enough where the status is common.
    few = min(2 * query.limit, _ROWS_IN_A_CALL)
    for most in (few, *[_ROWS_IN_A_CALL] * (_CALLS - 1)):
        rows = _rows(table, query, newest, oldest, most)
        found += [row for row in rows if _has_status(row, query.status)]
        if len(found) > query.limit or len(rows) < most:
            return _page(found, query.limit, None)
        newest = str(rows[-1]["RowKey"])
    return _page(found, query.limit, newest)


def _has_status(row: Row, status: DeliveryStatus | None) -> bool:
    known = row.get("Status") in set(DeliveryStatus)
    return row.get("Status") == status or (status is DeliveryStatus.OTHER_VERSION and not known)


def _rows(table: TableClient, query: DeliveryQuery, newest: str, oldest: str, most: int) -> list[Row]:
    with table_errors():
        rows = table.query_entities(
            "PartitionKey eq @tenant and RowKey gt @newest and RowKey lt @oldest",
            parameters={"tenant": query.tenant_id, "newest": newest, "oldest": oldest},
            results_per_page=min(most, _ROWS_IN_A_CALL),
        )
        return list(islice(rows, most))


def _pending(table: TableClient, query: DeliveryQuery, newest: str, oldest: str) -> list[Row] | None:
    """Return the pending mails in a status, as rows in time order.

    None where there are too many.
    """
    with table_errors():
        rows = table.query_entities(
            "PartitionKey eq @tenant and RowKey ge @first and Status eq @status",
            parameters={"tenant": query.tenant_id, "first": "~", "status": str(query.status)},
        )
        pending = list(islice(rows, _MAX_PENDING + 1))
    if len(pending) > _MAX_PENDING:
        return None
    in_time = [{**row, "RowKey": _place_in_time(row)} for row in pending]
    between = (row for row in in_time if newest < row["RowKey"] < oldest)
    return sorted(between, key=lambda row: row["RowKey"])


def _place_in_time(row: Row) -> str:
    """Return the mail's key among the rows in time order."""
    mail = read_delivery(row)
    return f"{time_key(mail.queued_at)}!{mail.message_id}"


def _page(found: list[Row], limit: int, further: str | None) -> DeliveryPage:
    """Make a page; `further` continues the list if it holds all found rows."""
    shown = found[:limit]
    more = str(shown[-1]["RowKey"]) if len(found) > limit else further
    return DeliveryPage(tuple(read_delivery(row) for row in shown), more)
