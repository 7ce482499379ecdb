"""The putting side of the queue, against Azurite."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from azure.storage.queue import QueueClient

from shared.adapters.queues import StorageQueueOutbox
from shared.config import StorageConfig
from shared.errors import TransientError
from shared.storage_names import MAIL_OUTBOX
from tests.builders import a_message
from tests.storage import no_credential

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def queue(storage: StorageConfig) -> Iterator[QueueClient]:
    assert storage.connection_string
    with QueueClient.from_connection_string(storage.connection_string, MAIL_OUTBOX) as client:
        client.clear_messages()
        yield client
        client.clear_messages()


@pytest.fixture
def outbox(storage: StorageConfig) -> Iterator[StorageQueueOutbox]:
    made = StorageQueueOutbox(storage, no_credential)
    yield made
    made._queue.close()


def test_a_message_arrives_in_base64_as_the_host_reads_it(
    outbox: StorageQueueOutbox, queue: QueueClient
) -> None:
    outbox.put(a_message(), timedelta(0))

    message = queue.receive_message()

    assert message is not None
    assert base64.b64decode(message.content, validate=True) == a_message()
    assert message.expires_on is not None
    assert message.expires_on.year == 9999


def test_a_delayed_message_is_there_and_not_visible(outbox: StorageQueueOutbox, queue: QueueClient) -> None:
    outbox.put(b"later", timedelta(seconds=0.2))

    assert queue.receive_message() is None
    assert queue.get_queue_properties().approximate_message_count == 1


def test_a_delay_that_is_over_means_now(outbox: StorageQueueOutbox, queue: QueueClient) -> None:
    outbox.put(b"now", timedelta(seconds=-5))

    assert queue.receive_message() is not None


def test_the_longest_message_fits(outbox: StorageQueueOutbox, queue: QueueClient) -> None:
    outbox.put(bytes(48 * 1024), timedelta(0))

    assert queue.receive_message() is not None


def test_a_queue_out_of_reach_is_transient() -> None:
    closed = StorageConfig(
        "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;QueueEndpoint=http://127.0.0.1:9/a;"
    )
    outbox = StorageQueueOutbox(closed, no_credential)

    with pytest.raises(TransientError) as caught:
        outbox.put(b"text", timedelta(0))

    assert caught.value.code == "storage_unavailable"
    outbox._queue.close()
