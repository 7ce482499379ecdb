import os
import socket
from pathlib import Path

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from shared.storage_names import API_VERSION
from tests.local_stack.azurite import PROGRAM, Azurite, Ports
from tests.local_stack.prerequisites import MissingPrerequisiteError
from tests.local_stack.processes import Child, ChildFailedError


def test_the_sdks_of_all_three_services_work_against_it(azurite: Azurite) -> None:
    text = azurite.connection_string
    with (
        BlobServiceClient.from_connection_string(text, api_version=API_VERSION) as blobs,
        QueueServiceClient.from_connection_string(text, api_version=API_VERSION) as queues,
        TableServiceClient.from_connection_string(text) as tables,
    ):
        container = blobs.create_container("azurite-files")
        container.upload_blob("report.pdf", b"%PDF")
        queue = queues.create_queue("azurite-mails")
        queue.send_message("mail")
        table = tables.create_table("azuriterows")
        table.create_entity({"PartitionKey": "tenant", "RowKey": "row", "Count": 1})

        assert container.download_blob("report.pdf").readall() == b"%PDF"
        assert [message.content for message in queue.receive_messages()] == ["mail"]
        assert table.get_entity("tenant", "row")["Count"] == 1
        queue.close()
        table.close()


def test_two_run_at_the_same_time_and_the_stopped_one_is_gone(azurite: Azurite) -> None:
    with Azurite() as second:
        pid = second.pid
        assert second.connection_string != azurite.connection_string

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_occupied_port_is_reported_with_the_message_of_azurite(azurite: Azurite) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        with pytest.raises(ChildFailedError, match="EADDRINUSE"), Azurite(Ports(blob=taken.getsockname()[1])):
            pass


def test_a_missing_package_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisiteError, match=r"^Azurite.* is not installed: run `make setup`"):
        Azurite(program=tmp_path / "azurite")


def test_a_missing_node_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MissingPrerequisiteError, match=r"^Node 22 is needed.*was not found\.$"):
        Azurite(program=PROGRAM)


def test_a_child_that_ends_early_is_reported_with_its_log(tmp_path: Path) -> None:
    child = Child(["sh", "-c", "echo no luck; exit 3"], tmp_path / "log", directory=tmp_path)

    with pytest.raises(ChildFailedError, match=r"sh ended with status 3:\nno luck"):
        child.wait_for_lines("^ready$", 1, seconds=10)


def test_a_silent_child_process_is_not_awaited_for_ever(tmp_path: Path) -> None:
    child = Child(["sleep", "60"], tmp_path / "log", directory=tmp_path)

    with pytest.raises(ChildFailedError, match="not ready within 0 s"):
        child.wait_for_lines("^ready$", 1, seconds=0.05)

    child.kill()
    assert not child.running


def test_a_child_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    stubborn = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    child = Child(["sh", "-c", stubborn], tmp_path / "log", directory=tmp_path)
    child.wait_for_lines("^(ready)$", 1, seconds=10)

    assert child.stop(seconds=0.1) == -9
