from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceResponseError,
)
from azure.data.tables import TableClient, TableServiceClient, TableTransactionError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient
from requests.exceptions import RequestException

from shared.storage_names import API_VERSION
from tests.local_stack.storage_gates import (
    BUSY,
    RESPONSES_LOST,
    STALL_SECONDS,
    UNAVAILABLE,
    Outage,
    StorageGates,
)
from tests.local_stack.storage_responses import batch_error, table_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local_stack.azurite import Azurite
    from tests.local_stack.storage_gates import Break

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
        BlobServiceClient.from_connection_string(gates.connection_string, api_version=API_VERSION) as blobs,
        QueueServiceClient.from_connection_string(gates.connection_string, api_version=API_VERSION) as queues,
    ):
        container = blobs.create_container("gated-files")
        blob = container.upload_blob("Übersicht 100 %.pdf", bytes(5_000_000))
        queue = queues.create_queue("gated-mails")
        queue.send_message("<mail/>")

        assert blob.get_blob_properties().size == 5_000_000
        assert blob.download_blob(offset=1, length=7).readall() == bytes(7)
        assert [message.content for message in queue.receive_messages()] == ["<mail/>"]
        queue.close()


def test_an_unavailable_service_does_nothing_and_does_not_respond(
    gates: StorageGates, table: TableClient
) -> None:
    with gates.during("table", UNAVAILABLE), pytest.raises(ServiceResponseError):
        table.create_entity(ROW)

    assert list(table.list_entities()) == []


def test_a_busy_service_refuses_and_does_nothing(gates: StorageGates, table: TableClient) -> None:
    with gates.during("table", BUSY), pytest.raises(HttpResponseError) as refused:
        table.create_entity(ROW)

    assert refused.value.status_code == 503
    assert list(table.list_entities()) == []


def test_a_request_whose_response_is_lost_was_carried_out(gates: StorageGates, table: TableClient) -> None:
    with gates.during("table", Outage(responds=False)), pytest.raises(ServiceResponseError):
        table.create_entity(ROW)

    with pytest.raises(ResourceExistsError):
        table.create_entity(ROW)


def test_only_the_chosen_share_of_responses_is_lost(gates: StorageGates, table: TableClient) -> None:
    before = gates.hits
    with gates.during("table", RESPONSES_LOST):
        for number in range(6):
            try:
                table.create_entity(ROW | {"RowKey": str(number)})
            except ServiceResponseError:
                continue

    assert gates.hits - before == 2
    assert len(list(table.list_entities())) == 6


def test_only_one_verb_is_meant_where_one_is_named(gates: StorageGates, table: TableClient) -> None:
    with gates.during("table", Outage(reaches=False, responds=False, method="DELETE")):
        table.create_entity(ROW)
        with pytest.raises(ServiceResponseError):
            table.delete_entity(ROW["PartitionKey"], ROW["RowKey"])

    assert len(list(table.list_entities())) == 1


def test_a_slow_response_is_the_true_one(gates: StorageGates, table: TableClient) -> None:
    started = time.monotonic()
    with gates.during("table", Outage(delay=0.3)):
        table.create_entity(ROW)

    assert time.monotonic() - started >= 0.3
    assert len(list(table.list_entities())) == 1


def test_other_services_continue_while_one_is_unavailable(gates: StorageGates, table: TableClient) -> None:
    with gates.during("blob", UNAVAILABLE), gates.during("queue", UNAVAILABLE):
        table.create_entity(ROW)

    assert len(list(table.list_entities())) == 1


@pytest.mark.parametrize("how", ["closed", "reset", "cut"])
def test_a_request_whose_response_breaks_off_was_carried_out(
    gates: StorageGates, table: TableClient, how: Break
) -> None:
    with gates.during("table", Outage(breaks=how, path="$batch")), pytest.raises(RequestException):
        table.submit_transaction([("create", ROW)])

    assert len(list(table.list_entities())) == 1


def test_a_response_that_stalls_ends_when_its_client_gives_up(
    gates: StorageGates, table: TableClient
) -> None:
    started = time.monotonic()
    with gates.during("table", Outage(breaks="stalled")), pytest.raises(AzureError):
        table.create_entity(ROW, read_timeout=1)

    assert time.monotonic() - started < STALL_SECONDS
    assert len(list(table.list_entities())) == 1


def test_a_request_that_is_held_is_carried_out_though_its_client_is_gone(
    gates: StorageGates, table: TableClient
) -> None:
    late = Outage(hold=0.3, drops_at_once=True)
    with gates.during("table", late), pytest.raises(ServiceResponseError):
        table.create_entity(ROW)
    assert list(table.list_entities()) == []

    gates.wait_until_carried_out()
    assert len(list(table.list_entities())) == 1


def test_only_so_many_requests_are_meant(gates: StorageGates, table: TableClient) -> None:
    with gates.during("table", Outage(reaches=False, times=1)):
        with pytest.raises(HttpResponseError):
            table.create_entity(ROW)
        table.create_entity(ROW)


def test_a_batch_is_refused_as_azure_does_it(gates: StorageGates, table: TableClient) -> None:
    refused = Outage(response=batch_error(412, "UpdateConditionNotSatisfied", index=1))
    with gates.during("table", refused), pytest.raises(TableTransactionError) as error:
        table.submit_transaction([("create", ROW), ("upsert", ROW | {"RowKey": "2"})])

    assert (error.value.status_code, error.value.index) == (412, 1)
    assert error.value.error_code == "UpdateConditionNotSatisfied"  # type: ignore[attr-defined] # as the SDK sets it


def test_a_single_call_is_refused_as_azure_does_it(gates: StorageGates, table: TableClient) -> None:
    with (
        gates.during("table", Outage(response=table_error(404, "TableNotFound"))),
        pytest.raises(ResourceNotFoundError) as error,
    ):
        table.get_entity("tenant", "row")
    assert error.value.error_code == "TableNotFound"  # type: ignore[attr-defined] # as the SDK sets it


def test_all_calls_except_empty_polls_are_counted(gates: StorageGates) -> None:
    with QueueServiceClient.from_connection_string(
        gates.connection_string, api_version=API_VERSION
    ) as queues:
        queue = queues.create_queue("counted-messages")
        before = gates.calls
        assert queue.receive_message() is None
        queue.send_message("1")
        assert queue.receive_message() is not None

        assert gates.calls - before == {"queue": 2}

        queue.delete_queue()
        queue.close()
