"""Check that Azure Storage responds and has everything the app needs.

Each table, queue and container is read once, by a request that is fast and returns no data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.adapters.azure_errors import azure_errors
from shared.adapters.queue_storage import queue_client
from shared.adapters.table_storage import find_row
from shared.storage_names import CONTAINERS, MAIL_OUTBOX, TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from azure.core.credentials import TokenCredential
    from azure.data.tables import TableServiceClient
    from azure.storage.blob import BlobServiceClient

    from shared.config import StorageConfig

#: A partition and row key that no row has.
_NO_SUCH_KEY = "readiness"


def probe_tables(service: TableServiceClient, names: Iterable[str] = TABLES) -> None:
    """Read a row that does not exist from every table.

    Raises:
        TransientError: `storage_unavailable`.
        ConfigurationError: `storage_denied`, `storage_incomplete`.
    """
    for name in names:
        find_row(service.get_table_client(name), _NO_SUCH_KEY, _NO_SUCH_KEY)


def probe_queue(
    config: StorageConfig, credential: Callable[[], TokenCredential], name: str = MAIL_OUTBOX
) -> None:
    """Read the properties of the queue; raises as `probe_tables` does."""
    with (
        azure_errors("storage_unavailable", "storage_denied", "storage_incomplete", service="queues"),
        queue_client(config, credential, name) as queue,
    ):
        queue.get_queue_properties()


def probe_containers(service: BlobServiceClient, names: Iterable[str] = CONTAINERS) -> None:
    """Read the properties of every container; raises as `probe_tables` does."""
    with azure_errors("storage_unavailable", "storage_denied", "storage_incomplete", service="blobs"):
        for name in names:
            service.get_container_client(name).get_container_properties()
