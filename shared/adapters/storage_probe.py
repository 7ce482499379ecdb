"""Does Azure Storage answer? One cheap read of the queue and of the containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure.storage.queue import QueueClient

from shared.adapters.azure_errors import translated
from shared.adapters.tables import TIMEOUTS
from shared.storage_names import CONTAINERS, MAIL_OUTBOX

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import TokenCredential
    from azure.storage.blob import BlobServiceClient

    from shared.config import StorageConfig


def ask_queue(config: StorageConfig, credential: Callable[[], TokenCredential]) -> None:
    """Read the properties of the queue `mail-outbox`."""
    with translated("storage_unavailable", "storage_denied", service="queues"):
        if config.connection_string:
            queue = QueueClient.from_connection_string(config.connection_string, MAIL_OUTBOX, **TIMEOUTS)
        else:
            queue = QueueClient(config.queue_uri, MAIL_OUTBOX, credential=credential(), **TIMEOUTS)
        with queue:
            queue.get_queue_properties()


def ask_containers(service: BlobServiceClient) -> None:
    """Read the properties of every container."""
    with translated("storage_unavailable", "storage_denied", service="blobs"):
        for name in CONTAINERS:
            service.get_container_client(name).get_container_properties()
