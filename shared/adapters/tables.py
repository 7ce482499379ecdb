"""Azure Table Storage: tenant settings, consents under way, and the delivery log.

A row holds the whole value as JSON in one column; the other columns are those we search by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableErrorCode, TableServiceClient, TableTransactionError, UpdateMode

from shared.adapters.azure_errors import translated
from shared.adapters.documents import read_document, write_document
from shared.consent.flow import ConsentFlow, FlowSecret
from shared.errors import PreconditionFailedError
from shared.settings.tenant import TenantSettings
from shared.storage_names import CONSENT_FLOWS, TENANT_SETTINGS

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from azure.core.credentials import TokenCredential
    from azure.data.tables import TableClient

    from shared.config import StorageConfig

#: A call that takes longer is repeated by the host or the person; the SDK would wait five minutes.
TIMEOUTS: dict[str, Any] = {
    "connection_timeout": 5,
    "read_timeout": 20,
    "retry_total": 2,
    # Blobs and queues would otherwise wait 15 seconds before they try again.
    "initial_backoff": 1,
    "increment_base": 1,
}

_GONE_OR_CHANGED = frozenset({404, 412})

Row = Mapping[str, Any]


def table_service(config: StorageConfig, credential: Callable[[], TokenCredential]) -> TableServiceClient:
    """Connect to the tables of the storage account."""
    if config.connection_string:
        return TableServiceClient.from_connection_string(config.connection_string, **TIMEOUTS)
    return TableServiceClient(config.table_uri, credential=credential(), **TIMEOUTS)


def table_errors() -> AbstractContextManager[None]:
    """Translate what a table call raises."""
    return translated("storage_unavailable", "storage_denied", "storage_incomplete", service="tables")


def etag_of(row: Row) -> str:
    """Return the ETag of a row that was read."""
    return str(row.metadata["etag"])  # type: ignore[attr-defined]


class TableSettingsStore:
    """Tenant settings: partition tenant id, row `smtp`."""

    def __init__(self, service: TableServiceClient) -> None:
        self._table = service.get_table_client(TENANT_SETTINGS)

    def load(self, tenant_id: str) -> TenantSettings:
        """Return the tenant's settings; unconfigured ones where nothing is stored."""
        row = find_row(self._table, tenant_id, "smtp")
        if row is None:
            return TenantSettings(tenant_id)
        return replace(read_document(TenantSettings, row["Document"]), etag=etag_of(row))

    def save(self, settings: TenantSettings) -> TenantSettings:
        """Write the settings if they are still the ones that were read."""
        row = {
            "PartitionKey": settings.tenant_id,
            "RowKey": "smtp",
            "Status": settings.status.value,
            "Document": write_document(settings),
        }
        etag = write_row(self._table, row, settings.etag)
        if etag is None:
            raise PreconditionFailedError("settings_changed")
        return replace(settings, etag=etag)

    def tenants(self) -> tuple[str, ...]:
        """Return every tenant that has settings."""
        with table_errors():
            return tuple(
                str(row["PartitionKey"]) for row in self._table.list_entities(select=["PartitionKey"])
            )


class TableFlowStore:
    """Consents under way: partition flow id, rows `flow` and `secret`."""

    def __init__(self, service: TableServiceClient) -> None:
        self._table = service.get_table_client(CONSENT_FLOWS)

    def add(self, flow: ConsentFlow, secret: FlowSecret) -> None:
        """Keep a new flow, both rows or neither."""
        rows = [self._flow_row(flow), self._secret_row(secret)]
        with table_errors():
            self._table.submit_transaction([("create", row) for row in rows])

    def flow(self, flow_id: str) -> ConsentFlow | None:
        """Return a flow, or None where there is none."""
        row = find_row(self._table, flow_id, "flow")
        return None if row is None else read_document(ConsentFlow, row["Document"])

    def forget(self, before: datetime) -> None:
        """Delete every flow that expired before a moment, with its secrets."""
        with table_errors():
            old = self._table.query_entities(
                "RowKey eq 'flow' and ExpiresAt lt @before",
                parameters={"before": before},
                select=["PartitionKey"],
            )
            for row in old:
                # The flow goes last: what is left after a crash is found again.
                self._table.delete_entity(row["PartitionKey"], "secret")
                self._table.delete_entity(row["PartitionKey"], "flow")

    def save(self, flow: ConsentFlow) -> None:
        """Write how a flow stands."""
        with table_errors():
            self._table.upsert_entity(self._flow_row(flow), mode=UpdateMode.REPLACE)

    def secret(self, flow_id: str) -> FlowSecret | None:
        """Return the secrets of a flow, or None where they were used."""
        row = find_row(self._table, flow_id, "secret")
        if row is None:
            return None
        return replace(read_document(FlowSecret, row["Document"]), etag=etag_of(row))

    def replace_secret(self, secret: FlowSecret) -> bool:
        """Write the secrets if they are still the ones that were read; say whether they were."""
        return write_row(self._table, self._secret_row(secret), secret.etag) is not None

    def take_secret(self, secret: FlowSecret) -> bool:
        """Delete the secrets if they are still the ones that were read; say whether they were.

        A transaction of one, because `delete_entity` takes a row that is gone already for a success.
        """
        row = {"PartitionKey": secret.flow_id, "RowKey": "secret"}
        unchanged = {"etag": secret.etag, "match_condition": MatchConditions.IfNotModified}
        with table_errors():
            try:
                self._table.submit_transaction([("delete", row, unchanged)])
            except TableTransactionError as error:
                if error.status_code not in _GONE_OR_CHANGED:
                    raise
                return False
        return True

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
        return {"PartitionKey": secret.flow_id, "RowKey": "secret", "Document": write_document(secret)}


def find_row(table: TableClient, partition: str, row: str) -> Row | None:
    """Read one row by its keys; None where there is none."""
    with table_errors():
        try:
            return table.get_entity(partition, row)
        except ResourceNotFoundError as error:
            if _no_table(error):
                raise
            return None


def write_row(table: TableClient, row: dict[str, Any], etag: str | None) -> str | None:
    """Write one row if it is as it was read (`etag` None: not there), and return its new ETag, or None."""
    with table_errors():
        try:
            if etag is None:
                return str(table.create_entity(row)["etag"])
            changed = table.update_entity(
                row, mode=UpdateMode.REPLACE, etag=etag, match_condition=MatchConditions.IfNotModified
            )
            return str(changed["etag"])
        except (ResourceExistsError, ResourceModifiedError):
            return None
        except ResourceNotFoundError as error:
            # A new row can miss nothing but its table, of which the SDK gives no code then.
            if etag is None or _no_table(error):
                raise
            return None


def _no_table(error: ResourceNotFoundError) -> bool:
    """Tell a table that is missing from a missing row."""
    return getattr(error, "error_code", None) == TableErrorCode.TABLE_NOT_FOUND
