"""Store consents in progress in Azure Table Storage."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from azure.data.tables import TableTransactionError, UpdateMode

from shared.adapters.azure_errors import is_missing
from shared.adapters.serialization import read_document, write_document
from shared.adapters.table_storage import Row, etag_of, find_row, find_written, table_errors, write_row
from shared.consent.flow import ConsentFlow, FlowSecret
from shared.errors import TransientError
from shared.storage_names import CONSENT_FLOWS

if TYPE_CHECKING:
    from datetime import datetime

    from azure.data.tables import TableServiceClient

#: Statuses of a write that is repeated by the SDK and finds the row of its own first attempt.
_WRITTEN_BEFORE = frozenset({409, 412})
#: The column that marks a used secret.
_USED_BY = "TakenBy"


class TableFlowStore:
    """Unfinished consents: partition flow id, rows `flow` and `secret`."""

    def __init__(self, service: TableServiceClient) -> None:
        self._table = service.get_table_client(CONSENT_FLOWS)

    def add(self, flow: ConsentFlow, secret: FlowSecret) -> None:
        """Store a new flow, both rows or neither."""
        rows = [self._flow_row(flow), self._secret_row(secret)]
        try:
            self._create(rows)
        except TransientError:
            # The rows may have been written, and only the response was lost, or the SDK has repeated the
            # write.
            if find_written(self._table, rows[0]) is None:
                raise

    def flow(self, flow_id: str) -> ConsentFlow | None:
        """Return a flow, or None if there is none."""
        row = find_row(self._table, flow_id, "flow")
        return None if row is None else read_document(ConsentFlow, row.get("Document"))

    def delete_expired(self, before: datetime) -> None:
        """Delete every flow that expired before a moment, and its secrets."""
        with table_errors():
            old = self._table.query_entities(
                "RowKey eq 'flow' and ExpiresAt lt @before",
                parameters={"before": before},
                select=["PartitionKey"],
            )
            for row in old:
                self.remove(row["PartitionKey"])

    def of_tenant(self, tenant_id: str) -> tuple[str, ...]:
        """Return the ids of a tenant's flows of about the last day."""
        with table_errors():
            flows = [
                read_document(ConsentFlow, row.get("Document"))
                for row in self._table.query_entities("RowKey eq 'flow'")
            ]
        return tuple(flow.flow_id for flow in flows if flow is not None and flow.tenant_id == tenant_id)

    def remove(self, flow_id: str) -> None:
        """Delete a flow with its secrets.

        The row of the flow is deleted last, so that the next run finds it if the process crashes in between.
        """
        with table_errors():
            self._table.delete_entity(flow_id, "secret")
            self._table.delete_entity(flow_id, "flow")

    def save(self, flow: ConsentFlow) -> None:
        """Store the state of a flow."""
        with table_errors():
            self._table.upsert_entity(self._flow_row(flow), mode=UpdateMode.MERGE)

    def secret(self, flow_id: str) -> FlowSecret | None:
        """Return the secrets of a flow, or None if they were used."""
        row = find_row(self._table, flow_id, "secret")
        return None if row is None or row.get(_USED_BY) else _read_secret(row)

    def unconfirmed(self, before: datetime) -> tuple[FlowSecret, ...]:
        """Return secrets whose `expires_at` is before a moment.

        They belong to consents that nobody confirmed or refused.
        """
        with table_errors():
            found = self._table.query_entities(
                "RowKey eq 'secret' and ExpiresAt lt @before", parameters={"before": before}
            )
            return tuple(secret for row in found if (secret := _read_secret(row)) is not None)

    def replace_secret(self, secret: FlowSecret) -> bool:
        """Write the secrets if they are unchanged; return whether they were.

        New ones are also written over used ones, whose row remains where it could not be deleted.
        """
        row = self._secret_row(secret)
        if write_row(self._table, row, secret.etag) is not None:
            return True
        used = None if secret.etag else find_row(self._table, secret.flow_id, "secret")
        if used is None or not used.get(_USED_BY):
            return False
        return write_row(self._table, row | {_USED_BY: ""}, etag_of(used)) is not None

    def consume_secret(self, secret: FlowSecret) -> bool:
        """Remove the secrets if they are unchanged; return whether they were.

        The secrets are overwritten with a mark first. If the response to a deletion were lost, it would not
        be known which request has deleted them; the mark shows this.
        """
        mark = {
            "PartitionKey": secret.flow_id,
            "RowKey": "secret",
            "Document": "",
            _USED_BY: str(uuid.uuid4()),
        }
        if write_row(self._table, mark, secret.etag) is None:
            return False
        # If the marked row can't be deleted now, it is deleted together with its flow.
        with suppress(TransientError), table_errors():
            self._table.delete_entity(secret.flow_id, "secret")
        return True

    def _create(self, rows: list[dict[str, Any]]) -> None:
        with table_errors():
            try:
                self._table.submit_transaction([("create", row) for row in rows])
            except TableTransactionError as error:
                if is_missing(error) or error.status_code not in _WRITTEN_BEFORE:
                    raise
                raise TransientError("storage_unavailable", service="tables") from error

    @staticmethod
    def _flow_row(flow: ConsentFlow) -> dict[str, Any]:
        return {
            "PartitionKey": flow.flow_id,
            "RowKey": "flow",
            "ExpiresAt": flow.expires_at,
            "Document": write_document(flow),
        }

    @staticmethod
    def _secret_row(secret: FlowSecret) -> dict[str, Any]:
        row = {"PartitionKey": secret.flow_id, "RowKey": "secret", "Document": write_document(secret)}
        return row | ({"ExpiresAt": secret.expires_at} if secret.expires_at else {})


def _read_secret(row: Row) -> FlowSecret | None:
    found = read_document(FlowSecret, row.get("Document"))
    return None if found is None else replace(found, etag=etag_of(row))
