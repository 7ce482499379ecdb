"""Azure Table Storage: the pause of sending, one row per installation.

It shares the table of the tenant settings, so that an update of only the code, without provisioning, finds
the table. Its partition is no tenant id, and no tenant's row has its key.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from shared.adapters.table_storage import Row, etag_of, find_row, table_errors, write_row
from shared.settings.sending_switch import MAX_REASON_LENGTH, SendingPause
from shared.storage_names import TENANT_SETTINGS

if TYPE_CHECKING:
    from azure.data.tables import TableServiceClient

#: Partition and row.
_KEYS = ("installation", "sending-pause")


class TablePauseStore:
    """The row `installation` / `sending-pause`; it exists while paused."""

    def __init__(self, service: TableServiceClient) -> None:
        self._table = service.get_table_client(TENANT_SETTINGS)

    def load(self) -> SendingPause | None:
        """Return the pause, or None while sending is not paused."""
        row = find_row(self._table, *_KEYS)
        return None if row is None else _pause(row)

    def save(self, pause: SendingPause) -> SendingPause:
        """Store a pause and return it; an existing one is kept and returned.

        An existing one is tagged with the installation if it has no tag.
        """
        partition, key = _KEYS
        keys = {"PartitionKey": partition, "RowKey": key}
        mark = {"Installation": pause.installation} if pause.installation else {}
        row = keys | {"Since": pause.since, "Reason": pause.reason or ""} | mark
        if write_row(self._table, row, None):
            return pause
        known = find_row(self._table, *_KEYS)
        if known and mark and not known.get("Installation"):
            write_row(self._table, keys | mark, etag_of(known))
        return self.load() or pause

    def remove(self) -> None:
        """End the pause; the SDK treats a missing row as a success."""
        with table_errors():
            self._table.delete_entity(*_KEYS)


def _pause(row: Row) -> SendingPause:
    """Read a row; one created by hand pauses too, whatever its columns.

    The pause's time is by the clock of the operator's machine, and no pause is newer than its row.
    """
    stamp = row.metadata["timestamp"]  # type: ignore[attr-defined]
    since, reason, installation = row.get("Since"), row.get("Reason"), row.get("Installation")
    return SendingPause(
        min(since, stamp) if isinstance(since, datetime) else stamp,
        str(reason)[:MAX_REASON_LENGTH] if reason else None,
        str(installation) if installation else None,
    )
