"""The probes of readiness, against the real queue and containers."""

from typing import TYPE_CHECKING, NoReturn

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from shared.adapters.health_probes import probe_containers, probe_queue, probe_tables
from shared.config import StorageConfig
from shared.errors import ConfigurationError, TransientError
from shared.storage_names import API_VERSION, CONTAINERS, MAIL_OUTBOX
from tests.local_stack.azurite import Azurite

if TYPE_CHECKING:
    from collections.abc import Callable


def no_identity() -> NoReturn:
    raise AssertionError("a connection string needs no credential")


@pytest.fixture
def config(azurite: Azurite) -> StorageConfig:
    with QueueServiceClient.from_connection_string(
        azurite.connection_string, api_version=API_VERSION
    ) as queues:
        if MAIL_OUTBOX not in {queue.name for queue in queues.list_queues()}:
            queues.create_queue(MAIL_OUTBOX)
    return StorageConfig(azurite.connection_string)


def test_an_existing_storage_account_responds(config: StorageConfig, azurite: Azurite) -> None:
    with BlobServiceClient.from_connection_string(
        azurite.connection_string, api_version=API_VERSION
    ) as blobs:
        known = {container.name for container in blobs.list_containers()}
        for name in set(CONTAINERS) - known:
            blobs.create_container(name)

        probe_queue(config, no_identity)
        probe_containers(blobs)


def test_a_queue_that_is_not_there_is_waited_for() -> None:
    nowhere = (
        "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:9/a;"
    )

    with pytest.raises(TransientError):
        probe_queue(StorageConfig(nowhere), no_identity)


def test_with_an_identity_no_connection_string_is_needed() -> None:
    requested: list[str] = []

    def identity() -> NoReturn:
        requested.append("identity")
        raise TransientError("storage_unavailable", service="queues")

    with pytest.raises(TransientError):
        probe_queue(StorageConfig(queue_uri="https://mailer.queue.core.windows.net"), identity)
    assert requested == ["identity"]


def test_existing_tables_respond(table_clients: TableServiceClient) -> None:
    probe_tables(table_clients)


@pytest.mark.parametrize("part", ["tables", "queues", "blobs"])
def test_a_part_that_was_never_created_is_an_operator_error(
    part: str,
    storage: StorageConfig,
    table_clients: TableServiceClient,
    blob_clients: BlobServiceClient,
) -> None:
    probes: dict[str, Callable[[], None]] = {
        "tables": lambda: probe_tables(table_clients, ["NeverMade"]),
        "queues": lambda: probe_queue(storage, no_identity, "never-made"),
        "blobs": lambda: probe_containers(blob_clients, ["never-made"]),
    }

    with pytest.raises(ConfigurationError) as refused:
        probes[part]()
    assert (refused.value.code, refused.value.params) == ("storage_incomplete", {"service": part})
