"""Store the schedules of the mailboxes in Azure Table Storage.

The rows are in the table of the tenant settings, so that a deployment of the code alone, without the
infrastructure, does not need a new table. The partition is no tenant id, so no row is mistaken for that of a
tenant.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.adapters.serialization import read_document, write_document
from shared.adapters.storage_clock import ResponseTime
from shared.adapters.table_storage import etag_of, find_row, write_if_unchanged
from shared.sending.rate_limit.schedule import Schedule
from shared.storage_names import TENANT_SETTINGS

if TYPE_CHECKING:
    from datetime import datetime

    from azure.data.tables import TableServiceClient

_PARTITION = "schedule"
#: Mails wait for these calls, and the outcome of a refused mail is recorded after them. So the calls have
#: short timeouts, after which the process continues without the shared schedule.
_SHORT_TIMEOUTS: dict[str, Any] = {"read_timeout": 5, "retry_total": 1}


class TableScheduleStore:
    """One row per mailbox, in the partition `schedule`."""

    def __init__(self, service: TableServiceClient) -> None:
        self._table = service.get_table_client(TENANT_SETTINGS)

    def load(self, key: str) -> tuple[Schedule, datetime | None]:
        """Return a mailbox's schedule and storage's time.

        The schedule is empty if there is none, or this version cannot read it.
        """
        response_time = ResponseTime()
        row = find_row(self._table, _PARTITION, key, raw_response_hook=response_time.note, **_SHORT_TIMEOUTS)
        if row is None:
            return Schedule(), response_time.moment
        known = read_document(Schedule, row.get("Document")) or Schedule()
        return replace(known, etag=etag_of(row)), response_time.moment

    def save(self, key: str, schedule: Schedule) -> Schedule | None:
        """Write a schedule if it is unchanged since it was read, else None.

        The result is also None if only the response to the write was lost. The slots of that write are not
        used then.
        """
        row = {"PartitionKey": _PARTITION, "RowKey": key, "Document": write_document(schedule)}
        etag = write_if_unchanged(self._table, row, schedule.etag, **_SHORT_TIMEOUTS)
        return None if etag is None else replace(schedule, etag=etag)
