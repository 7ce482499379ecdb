"""Store the pause of sending in Azure Table Storage.

The row is in the table of the tenant settings, so that a deployment of the code alone, without the
infrastructure, does not need a new table. The partition is no tenant id, so the row is not mistaken for that
of a tenant.
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
    """The row `sending-pause`, which exists while sending is paused."""

    def __init__(self, service: TableServiceClient) -> None:
        self._table = service.get_table_client(TENANT_SETTINGS)

    def load(self) -> SendingPause | None:
        """Return the pause, or None while sending is not paused."""
        row = find_row(self._table, *_KEYS)
        return None if row is None else _pause(row)

    def save(self, pause: SendingPause) -> SendingPause:
        """Store a pause and return it; an existing one is kept and returned.

        If the existing pause has no tag, it is tagged with the installation of the new one.
        """
        partition, key = _KEYS
        keys = {"PartitionKey": partition, "RowKey": key}
        tag = {"Installation": pause.installation} if pause.installation else {}
        row = keys | {"Since": pause.since, "Reason": pause.reason or ""} | tag
        if write_row(self._table, row, None):
            return pause
        known = find_row(self._table, *_KEYS)
        if known and tag and not known.get("Installation"):
            write_row(self._table, keys | tag, etag_of(known))
        return self.load() or pause

    def remove(self) -> None:
        """End the pause; if there is none, nothing happens."""
        with table_errors():
            self._table.delete_entity(*_KEYS)


def _pause(row: Row) -> SendingPause:
    """Read the pause in a row, which an operator may have created by hand.

    The time is that of the operator's machine, whose clock may be wrong, and no pause began after its row was
    written.
    """
    stamp = row.metadata["timestamp"]  # type: ignore[attr-defined]
    since, reason, installation = row.get("Since"), row.get("Reason"), row.get("Installation")
    return SendingPause(
        min(since, stamp) if isinstance(since, datetime) else stamp,
        str(reason)[:MAX_REASON_LENGTH] if reason else None,
        str(installation) if installation else None,
    )
