"""Read and write rows of Azure Table Storage, such as tenant settings.

A row has the whole value as JSON in one column. Other columns exist only if queries use them.
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
from azure.data.tables import TableServiceClient, UpdateMode

from shared.adapters.azure_errors import azure_errors, is_missing
from shared.adapters.bounded_transport import bounded_transport
from shared.adapters.serialization import read_document, write_document
from shared.errors import PreconditionFailedError, TransientError
from shared.settings.tenant import Status, TenantSettings
from shared.storage_names import API_VERSION, TENANT_SETTINGS

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from azure.core.credentials import TokenCredential
    from azure.data.tables import TableClient

    from shared.config import StorageConfig

#: A call that takes longer fails, and the host or the person repeats it. With the default options, the SDK
#: would wait for five minutes.
STORAGE_OPTIONS: dict[str, Any] = {
    "connection_timeout": 5,
    "read_timeout": 20,
    "retry_total": 2,
    # Blobs and queues would otherwise wait 15 seconds before they retry.
    "initial_backoff": 1,
    "increment_base": 1,
    "api_version": API_VERSION,
}

#: Storage may carry out a write up to 30 seconds after it was sent. A client that gives up before that and
#: then reads the row would not see the write.
#: https://learn.microsoft.com/rest/api/storageservices/setting-timeouts-for-table-service-operations
TABLE_OPTIONS: dict[str, Any] = STORAGE_OPTIONS | {"read_timeout": 35}
#: A read changes nothing, so it can time out early.
READ_TIMEOUT: dict[str, Any] = {"read_timeout": 10}

_GENERATIONS = "generations"
Row = Mapping[str, Any]


def table_service(config: StorageConfig, credential: Callable[[], TokenCredential]) -> TableServiceClient:
    """Connect to the tables of the storage account."""
    if config.connection_string:
        return TableServiceClient.from_connection_string(
            config.connection_string, transport=bounded_transport(TABLE_OPTIONS), **TABLE_OPTIONS
        )
    return TableServiceClient(
        config.table_uri, credential=credential(), transport=bounded_transport(TABLE_OPTIONS), **TABLE_OPTIONS
    )


def table_errors() -> AbstractContextManager[None]:
    """Translate the errors of a table call."""
    return azure_errors("storage_unavailable", "storage_denied", "storage_incomplete", service="tables")


def etag_of(row: Row) -> str:
    """Return the ETag of a row that was read."""
    return str(row.metadata["etag"])  # type: ignore[attr-defined]


class TableSettingsStore:
    """Tenant settings: partition tenant id, row `smtp`.

    After their removal the row `generations` remains.
    """

    def __init__(self, service: TableServiceClient) -> None:
        self._table = service.get_table_client(TENANT_SETTINGS)

    def load(self, tenant_id: str) -> TenantSettings:
        """Return the tenant's settings; unconfigured ones if none are stored.

        If this version can't read them, the result has the status `other_version`, and no other member.
        """
        row = find_row(self._table, tenant_id, "smtp")
        if row is None:
            removed = find_row(self._table, tenant_id, _GENERATIONS)
            return TenantSettings(tenant_id, last_version=removed["Generations"] if removed else 0)
        unreadable = TenantSettings(tenant_id, status=Status.OTHER_VERSION)
        return replace(read_document(TenantSettings, row.get("Document")) or unreadable, etag=etag_of(row))

    def save(self, settings: TenantSettings) -> TenantSettings:
        """Write the settings if they are unchanged since they were read."""
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
            rows = self._table.query_entities("RowKey eq 'smtp'", select=["PartitionKey"])
            return tuple(str(row["PartitionKey"]) for row in rows)

    def remove(self, tenant_id: str) -> None:
        """Remove a tenant's settings.

        The number of the last version is kept, so that no version is used twice.
        """
        last_version = self.load(tenant_id).last_version
        row = {"PartitionKey": tenant_id, "RowKey": _GENERATIONS, "Generations": last_version}
        with table_errors():
            self._table.upsert_entity(row, mode=UpdateMode.REPLACE)
            self._table.delete_entity(tenant_id, "smtp")


def find_row(table: TableClient, partition: str, row: str, **options: Any) -> Row | None:  # noqa: ANN401
    """Return the row with these keys, or None; `options` are the SDK's.

    This uses a query, because a request for a single row returns the same error for a missing table as for a
    missing row.
    """
    with table_errors():
        found = table.query_entities(
            "PartitionKey eq @partition and RowKey eq @row",
            parameters={"partition": partition, "row": row},
            results_per_page=1,
            **(READ_TIMEOUT | options),
        )
        return next(iter(found), None)


def write_row(table: TableClient, row: dict[str, Any], etag: str | None, **options: Any) -> str | None:  # noqa: ANN401
    """Write a row if it is unchanged; return its new ETag, or None.

    `etag` is None for a row that must not exist.
    """
    try:
        written = write_if_unchanged(table, row, etag, **options)
    except TransientError:
        written = find_written(table, row, **options)
        if written is None:
            raise
    return written or find_written(table, row, **options)


def find_written(table: TableClient, row: dict[str, Any], **options: Any) -> str | None:  # noqa: ANN401
    """Return the ETag of a row that equals the one to write, or None.

    The response to a write may be lost, and the repeated write then conflicts with its own first attempt. If
    the row cannot be read, this raises an error, so that the row is not taken for that of another writer.

    Raises:
        TransientError: the row cannot be read.
    """
    found = find_row(table, row["PartitionKey"], row["RowKey"], **options)
    if found is None or any(found.get(name) != value for name, value in row.items()):
        return None
    return etag_of(found)


def etag_in(response: Row) -> str:
    """Return the ETag in the response to a write."""
    return str(response["etag"])


def write_if_unchanged(
    table: TableClient,
    row: dict[str, Any],
    etag: str | None,
    **options: Any,  # noqa: ANN401 - the SDK's
) -> str | None:
    """Write a row by one call, if it is unchanged; return its new ETag.

    Returns None if the row has changed, or if an earlier attempt of this call has written it. Columns that
    only another version of the app knows are preserved.
    """
    with table_errors():
        try:
            if etag is None:
                return etag_in(table.create_entity(row, **options))
            unchanged = MatchConditions.IfNotModified
            return etag_in(
                table.update_entity(
                    row, mode=UpdateMode.MERGE, etag=etag, match_condition=unchanged, **options
                )
            )
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError) as error:
            # For a new row, "not found" can only mean the table, and the SDK returns no code for that.
            no_table = etag is None and isinstance(error, ResourceNotFoundError)
            if no_table or is_missing(error):
                raise
            return None
