from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ServiceResponseError
from azure.data.tables import TableClient, TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from tests.local_stack.storage_gates import ANSWERS_LOST, AWAY, BUSY, Outage, StorageGates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local_stack.azurite import Azurite

ROW = {"PartitionKey": "tenant", "RowKey": "row"}


@pytest.fixture(scope="module")
def gates(azurite: Azurite) -> Iterator[StorageGates]:
    with StorageGates(azurite) as running:
        yield running


@pytest.fixture
def table(gates: StorageGates) -> Iterator[TableClient]:
    with TableServiceClient.from_connection_string(gates.connection_string, retry_total=0) as service:
        table = service.create_table("gatedrows")
        yield table
        service.delete_table("gatedrows")
        table.close()


def test_nothing_changes_on_the_way_while_all_is_well(gates: StorageGates) -> None:
    with (
        BlobServiceClient.from_connection_string(gates.connection_string) as blobs,
        QueueServiceClient.from_connection_string(gates.connection_string) as queues,
    ):
        container = blobs.create_container("gated-files")
        blob = container.upload_blob("Übersicht 100 %.pdf", bytes(5_000_000))
        queue = queues.create_queue("gated-mails")
        queue.send_message("<mail/>")

        assert blob.get_blob_properties().size == 5_000_000
        assert blob.download_blob(offset=1, length=7).readall() == bytes(7)
        assert [message.content for message in queue.receive_messages()] == ["<mail/>"]
        queue.close()


def test_what_is_away_does_nothing_and_says_nothing(gates: StorageGates, table: TableClient) -> None:
    with gates.during("table", AWAY), pytest.raises(ServiceResponseError):
        table.create_entity(ROW)

    assert list(table.list_entities()) == []


def test_what_is_busy_says_so_and_does_nothing(gates: StorageGates, table: TableClient) -> None:
    with gates.during("table", BUSY), pytest.raises(HttpResponseError) as refused:
        table.create_entity(ROW)

    assert refused.value.status_code == 503
    assert list(table.list_entities()) == []


def test_a_request_whose_answer_is_lost_was_carried_out(gates: StorageGates, table: TableClient) -> None:
    with gates.during("table", Outage(answers=False)), pytest.raises(ServiceResponseError):
        table.create_entity(ROW)

    with pytest.raises(ResourceExistsError):
        table.create_entity(ROW)


def test_only_some_answers_are_lost_where_some_are_meant(gates: StorageGates, table: TableClient) -> None:
    before = gates.hits
    with gates.during("table", ANSWERS_LOST):
        for number in range(6):
            try:
                table.create_entity(ROW | {"RowKey": str(number)})
            except ServiceResponseError:
                continue

    assert gates.hits - before == 2
    assert len(list(table.list_entities())) == 6


def test_only_one_verb_is_meant_where_one_is_named(gates: StorageGates, table: TableClient) -> None:
    with gates.during("table", Outage(reaches=False, answers=False, method="DELETE")):
        table.create_entity(ROW)
        with pytest.raises(ServiceResponseError):
            table.delete_entity(ROW["PartitionKey"], ROW["RowKey"])

    assert len(list(table.list_entities())) == 1


def test_a_slow_answer_is_the_true_one(gates: StorageGates, table: TableClient) -> None:
    started = time.monotonic()
    with gates.during("table", Outage(delay=0.3)):
        table.create_entity(ROW)

    assert time.monotonic() - started >= 0.3
    assert len(list(table.list_entities())) == 1


def test_the_others_go_on_while_one_is_away(gates: StorageGates, table: TableClient) -> None:
    with gates.during("blob", AWAY), gates.during("queue", AWAY):
        table.create_entity(ROW)

    assert len(list(table.list_entities())) == 1
