"""Writing to the queues, against Azurite."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.queue import QueueClient

from shared.adapters.queue_storage import StorageOutcomeQueues, StorageQueueOutbox
from shared.config import StorageConfig
from shared.deliveries.requeue import requeue_message
from shared.errors import ConfigurationError, TransientError
from shared.mail_queue import Backlog, fits_queue
from shared.storage_names import API_VERSION, MAIL_OUTBOX, MAIL_OUTBOX_POISON
from tests.builders import a_message
from tests.fakes import CONTOSO
from tests.storage import no_credential

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def queue(storage: StorageConfig) -> Iterator[QueueClient]:
    assert storage.connection_string
    with QueueClient.from_connection_string(
        storage.connection_string, MAIL_OUTBOX, api_version=API_VERSION
    ) as client:
        client.clear_messages()
        yield client
        client.clear_messages()


@pytest.fixture
def outbox(storage: StorageConfig) -> Iterator[StorageQueueOutbox]:
    made = StorageQueueOutbox(storage, no_credential)
    yield made
    made._queue.close()


def test_a_message_is_written_in_base64_which_older_versions_read(
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


def test_the_backlog_counts_messages_and_finds_the_oldest_available_one(
    outbox: StorageQueueOutbox, queue: QueueClient
) -> None:
    queue.clear_messages()
    assert outbox.backlog() == Backlog(0, None)
    outbox.put(b"later", timedelta(minutes=1))
    assert outbox.backlog() == Backlog(1, None)
    before = datetime.now(UTC) - timedelta(seconds=2)
    outbox.put(b"now", timedelta(0))

    found = outbox.backlog()

    assert found.length == 2
    assert found.oldest_since is not None
    assert before <= found.oldest_since <= datetime.now(UTC) + timedelta(seconds=2)
    message = queue.receive_message()
    assert message is not None
    assert message.dequeue_count == 1


def test_a_mail_that_was_delayed_waits_only_since_its_time(
    outbox: StorageQueueOutbox, queue: QueueClient
) -> None:
    queue.clear_messages()
    due = datetime.now(UTC) + timedelta(hours=2)
    outbox.put(requeue_message(CONTOSO, "m-1", due.isoformat()), timedelta(0))

    assert outbox.backlog().oldest_since == due
    queue.clear_messages()


def test_an_invisible_message_counts_in_the_poison_queue(
    outbox: StorageQueueOutbox, storage: StorageConfig
) -> None:
    assert storage.connection_string
    with QueueClient.from_connection_string(
        storage.connection_string, MAIL_OUTBOX_POISON, api_version=API_VERSION
    ) as queue:
        queue.clear_messages()
        queue.send_message("visible")
        queue.send_message("hidden", visibility_timeout=60)

        assert outbox.poison_length() == 2
        queue.clear_messages()
    assert outbox.poison_length() == 0


def test_a_poison_queue_that_was_never_created_is_an_operator_error(
    outbox: StorageQueueOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.adapters.queue_storage.MAIL_OUTBOX_POISON", "never-made")

    with pytest.raises(ConfigurationError) as caught:
        outbox.poison_length()

    assert caught.value.code == "storage_incomplete"


def test_a_queue_out_of_reach_is_transient() -> None:
    closed = StorageConfig(
        "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;QueueEndpoint=http://127.0.0.1:9/a;"
    )
    outbox = StorageQueueOutbox(closed, no_credential)

    with pytest.raises(TransientError) as caught:
        outbox.put(b"text", timedelta(0))

    assert caught.value.code == "storage_unavailable"
    outbox._queue.close()


@pytest.mark.parametrize(("sign", "fits"), [("x", 65_536), ("é", 32_768), ("<", 21_845), ("&", 16_384)])
def test_a_message_beyond_the_limits_of_the_queue_does_not_fit(sign: str, fits: int) -> None:
    filler = "x" * (0 if sign in "xé" else 65_536 - fits)
    assert fits_queue((filler + sign * fits).encode())
    assert not fits_queue((filler[1:] + sign * (fits + 1)).encode())


@pytest.mark.parametrize("extra", [0, 1])
def test_noncharacters_count_as_the_escapes_that_are_sent(outbox: StorageQueueOutbox, extra: int) -> None:
    text = ("\uffff\ufffe" * 2_500 + "x" * (35_536 + extra)).encode()

    assert fits_queue(text) is not bool(extra)
    if extra:
        with pytest.raises(HttpResponseError, match="RequestBodyTooLarge"):
            outbox.put(text, timedelta(0))
    else:
        outbox.put(text, timedelta(0))


@pytest.mark.parametrize("sign", ["x", "é", "<", "\uffff"])
def test_a_message_that_base64_makes_too_long_is_queued_as_plain_text(
    outbox: StorageQueueOutbox, queue: QueueClient, sign: str
) -> None:
    size = 60 * 1024 // len(sign.encode())
    text = json.dumps({"subject": sign * size}, ensure_ascii=False) if sign != "\uffff" else None
    text = text or '{"subject": "' + "x" * 60_000 + sign + '"}'
    outbox.put(text.encode(), timedelta(0))

    message = queue.receive_message()
    assert message is not None
    assert json.loads(message.content) == json.loads(text)


def test_a_plain_text_message_of_64_kib_is_requeued_unchanged(
    outbox: StorageQueueOutbox, queue: QueueClient
) -> None:
    outbox.put(b"x" * 64 * 1024, timedelta(0))

    message = queue.receive_message()
    assert message is not None
    assert len(message.content) == 64 * 1024


def test_an_outcome_is_queued_in_base64_and_does_not_expire(storage: StorageConfig) -> None:
    assert storage.connection_string
    queues = StorageOutcomeQueues(storage, no_credential)
    with QueueClient.from_connection_string(
        storage.connection_string, "test-outcomes", api_version=API_VERSION
    ) as queue:
        queue.create_queue()

        queues.put("test-outcomes", b'{"sequence":1}')

        message = queue.receive_message()
        queue.delete_queue()
    assert message is not None
    assert base64.b64decode(message.content, validate=True) == b'{"sequence":1}'
    assert message.expires_on is not None
    assert message.expires_on.year == 9999


def test_an_outcome_queue_that_is_missing_is_an_operator_error(storage: StorageConfig) -> None:
    with pytest.raises(ConfigurationError) as refused:
        StorageOutcomeQueues(storage, no_credential).put("no-such-queue", b"{}")

    assert refused.value.code == "storage_incomplete"
