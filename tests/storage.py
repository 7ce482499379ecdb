"""The storage account of a test run: Azurite with all resources."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from shared.config import StorageConfig
from shared.storage_names import API_VERSION, CONTAINERS, QUEUES, TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from azure.core.credentials import TokenCredential

    from tests.local_stack.azurite import Azurite


def no_credential() -> TokenCredential:
    """Replace the credential, which a connection string does not need."""
    raise AssertionError


def provision(connection_string: str) -> None:
    """Create every missing queue, container and table."""
    with ExitStack() as clients:
        blobs = clients.enter_context(
            BlobServiceClient.from_connection_string(connection_string, api_version=API_VERSION)
        )
        queues = clients.enter_context(
            QueueServiceClient.from_connection_string(connection_string, api_version=API_VERSION)
        )
        tables = clients.enter_context(TableServiceClient.from_connection_string(connection_string))
        for make, names in (
            (blobs.create_container, CONTAINERS),
            (queues.create_queue, QUEUES),
            (tables.create_table, TABLES),
        ):
            _make_all(make, names)


def _make_all(make: Callable[[str], object], names: tuple[str, ...]) -> None:
    for name in names:
        try:
            make(name)
        except ResourceExistsError:
            continue


@pytest.fixture(scope="session")
def storage(azurite: Azurite) -> StorageConfig:
    """Return the account's settings; tests share it and use unique names."""
    provision(azurite.connection_string)
    return StorageConfig(azurite.connection_string)


@pytest.fixture
def blob_clients(storage: StorageConfig) -> Iterator[BlobServiceClient]:
    """Return a client of the blob service."""
    from shared.adapters.blob_storage import blob_service

    with blob_service(storage, no_credential) as service:
        yield service


@pytest.fixture
def table_clients(storage: StorageConfig) -> Iterator[TableServiceClient]:
    """Return a client of the table service."""
    from shared.adapters.table_storage import table_service

    with table_service(storage, no_credential) as service:
        yield service
