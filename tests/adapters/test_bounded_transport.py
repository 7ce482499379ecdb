"""Azure's clients start no attempt and no wait after the time limit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceResponseTimeoutError
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from shared.adapters.bounded_transport import bounded_transport
from shared.adapters.table_storage import STORAGE_OPTIONS, TABLE_OPTIONS
from shared.errors import NothingSentError
from shared.time_limit import SENDING_LIMIT, limit_invocation
from tests.fakes import FakeSystem

CONNECTION = (
    "DefaultEndpointsProtocol=https;AccountName=stmailer;AccountKey=a2V5;EndpointSuffix=core.windows.net"
)


def probe_tables() -> None:
    options = TABLE_OPTIONS
    service = TableServiceClient.from_connection_string(
        CONNECTION, transport=bounded_transport(options), **options
    )
    service.get_table_client("Deliveries").get_entity("p", "r")


def request_blobs() -> None:
    options = STORAGE_OPTIONS
    service = BlobServiceClient.from_connection_string(
        CONNECTION, transport=bounded_transport(options), **options
    )
    service.get_blob_client("attachments", "a").get_blob_properties()


def request_queues() -> None:
    options = STORAGE_OPTIONS
    queue = QueueClient.from_connection_string(
        CONNECTION, "q", transport=bounded_transport(options), **options
    )
    queue.send_message("m")


@pytest.fixture
def allowed_timeouts(monkeypatch: pytest.MonkeyPatch) -> tuple[FakeSystem, list[float]]:
    """Let every request time out and return the time allowed for each try."""
    system, allowed = FakeSystem(), []

    def time_out(_: object, request: Any, **options: Any) -> Any:
        allowed.append(options["read_timeout"])
        system.pass_time(timedelta(seconds=options["read_timeout"]))
        raise ServiceResponseTimeoutError("no response")

    monkeypatch.setattr(RequestsTransport, "send", time_out)
    monkeypatch.setattr("time.sleep", lambda seconds: system.pass_time(timedelta(seconds=seconds)))
    return system, allowed


@pytest.mark.parametrize("call", [probe_tables, request_blobs, request_queues])
def test_no_try_begins_or_ends_after_the_limit(
    call: Any, allowed_timeouts: tuple[FakeSystem, list[float]]
) -> None:
    system, allowed = allowed_timeouts
    with limit_invocation(system):
        system.pass_time(SENDING_LIMIT - timedelta(seconds=5))
        with pytest.raises(NothingSentError, match="attempt_too_long"):
            call()

    assert allowed == [5.0]


@pytest.mark.parametrize("call", [probe_tables, request_blobs, request_queues])
def test_with_time_enough_a_client_repeats_its_call(
    call: Any, allowed_timeouts: tuple[FakeSystem, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    system, allowed = allowed_timeouts
    with limit_invocation(system), pytest.raises(ServiceResponseTimeoutError):
        call()

    assert len(allowed) > 1


def test_a_wait_between_two_tries_ends_with_the_limit(
    allowed_timeouts: tuple[FakeSystem, list[float]],
) -> None:
    system, _ = allowed_timeouts
    with limit_invocation(system):
        bounded_transport(TABLE_OPTIONS).sleep(3600)

    assert system.passed == SENDING_LIMIT
    bounded_transport(TABLE_OPTIONS).sleep(1)
    assert system.passed == SENDING_LIMIT + timedelta(seconds=1)
