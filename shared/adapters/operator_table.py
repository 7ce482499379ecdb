"""Store operators' actions in Azure Table Storage until they are logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.adapters.serialization import read_document, write_document
from shared.adapters.table_storage import table_errors
from shared.settings.operator_log import OperatorAction
from shared.storage_names import TENANT_SETTINGS

if TYPE_CHECKING:
    from azure.data.tables import TableServiceClient

_PARTITION = "installation"


class TableOperatorLog:
    """Rows `action:<time>:<id>` in the partition `installation`."""

    def __init__(self, service: TableServiceClient) -> None:
        self._table = service.get_table_client(TENANT_SETTINGS)

    def add(self, action: OperatorAction) -> None:
        """Store an action."""
        row = {"PartitionKey": _PARTITION, "RowKey": _key(action), "Document": write_document(action)}
        with table_errors():
            self._table.upsert_entity(row)

    def unreported(self) -> tuple[OperatorAction, ...]:
        """Return the actions that are not logged yet, oldest first."""
        with table_errors():
            rows = self._table.query_entities(
                "PartitionKey eq @partition and RowKey ge 'action:' and RowKey lt 'action;'",
                parameters={"partition": _PARTITION},
            )
            found = [read_document(OperatorAction, row.get("Document")) for row in rows]
        # A row that this version cannot read is left for the version that wrote it.
        return tuple(action for action in found if action is not None)

    def remove(self, action: OperatorAction) -> None:
        """Remove an action; one that does not exist is no error."""
        with table_errors():
            self._table.delete_entity(_PARTITION, _key(action))


def _key(action: OperatorAction) -> str:
    """Return the key of a row, by which rows are sorted by time."""
    return f"action:{action.at:%Y-%m-%dT%H:%M:%S.%f}:{action.action_id}"
