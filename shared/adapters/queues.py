"""Azure Queue Storage: the putting side of `mail-outbox` and of the queues for outcomes."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from azure.storage.queue import BinaryBase64EncodePolicy, QueueClient

from shared.adapters.azure_errors import translated
from shared.adapters.bounded_transport import bounded
from shared.adapters.tables import STORAGE_OPTIONS
from shared.deliveries.resume import due_at
from shared.errors import TransientError
from shared.outbox import Backlog
from shared.storage_names import MAIL_OUTBOX, MAIL_OUTBOX_POISON

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from azure.core.credentials import TokenCredential
    from azure.storage.queue import QueueMessage

    from shared.config import StorageConfig

#: The longest delay that a storage queue takes is 7 days; ours are hours.
_FOR_EVER = -1

#: A message has 64 KiB of text, and base64 makes four bytes of three.
_MAX_BEFORE_BASE64 = 48 * 1024
#: Characters that XML 1.0 section 2.2 forbids and that JSON can hold, as JSON escapes them.
_ESCAPED = str.maketrans({"\ufffe": r"\ufffe", "\uffff": r"\uffff"})


def queue_client(
    config: StorageConfig,
    credential: Callable[[], TokenCredential],
    name: str,
    **options: Any,  # noqa: ANN401 - the SDK's
) -> QueueClient:
    """Make a client of one queue, with a connection string or an identity."""
    options |= {**STORAGE_OPTIONS, "transport": bounded(STORAGE_OPTIONS)}
    if config.connection_string:
        return QueueClient.from_connection_string(config.connection_string, name, **options)
    return QueueClient(config.queue_uri, name, credential=credential(), **options)


class StorageQueueOutbox:
    """The queues `mail-outbox` and `mail-outbox-poison`."""

    def __init__(self, config: StorageConfig, credential: Callable[[], TokenCredential]) -> None:
        # Plain JSON would do for this version; one that is rolled back to reads base64 alone.
        self._config, self._credential = config, credential
        encode = BinaryBase64EncodePolicy()
        self._queue = queue_client(config, credential, MAIL_OUTBOX, message_encode_policy=encode)

    def put(self, text: bytes, delay: timedelta) -> None:
        """Queue a message that becomes visible after a delay, and stays until it is taken.

        One that is too long for base64 came in as plain text, or was made of a mail nearly as long as one may
        be. It is queued as plain text, which older versions take for invalid.
        """
        seconds = max(0, math.ceil(delay.total_seconds()))
        with translated("storage_unavailable", "storage_denied", "storage_incomplete", service="queues"):
            if len(text) <= _MAX_BEFORE_BASE64:
                self._queue.send_message(text, visibility_timeout=seconds, time_to_live=_FOR_EVER)
                return
            with queue_client(self._config, self._credential, MAIL_OUTBOX) as queue:
                queue.send_message(_plain(text), visibility_timeout=seconds, time_to_live=_FOR_EVER)

    def backlog(self) -> Backlog:
        """Look at what waits in the queue; nothing is taken out of it."""
        with translated("storage_unavailable", "storage_denied", "storage_incomplete", service="queues"):
            length = _length(self._queue)
            first = self._queue.peek_messages(1) if length else []
            return Backlog(length, _since(first[0]) if first else None)

    def poison_length(self) -> int:
        """Count the messages of the poison queue; those that nobody sees at this moment count too."""
        with (
            translated("storage_unavailable", "storage_denied", "storage_incomplete", service="queues"),
            queue_client(self._config, self._credential, MAIL_OUTBOX_POISON) as queue,
        ):
            return _length(queue)


def _since(message: QueueMessage) -> datetime | None:
    """Return since when a message waits; one that was put off waits since its time."""
    queued = message.inserted_on
    due = due_at(str(message.content))
    return max(queued, due) if queued and due else queued


def _length(queue: QueueClient) -> int:
    try:
        return int(queue.get_queue_properties().approximate_message_count or 0)
    except ValueError as error:
        # The answer broke off among its headers.
        raise TransientError("storage_unavailable", service="queues") from error


def _plain(text: bytes) -> str:
    """Return a message as XML can carry it; nothing but UTF-8 has come out of the queue."""
    return text.decode(errors="replace").translate(_ESCAPED)


class StorageOutcomeQueues:
    """The queues that schedulers read. Base64 is what a queue trigger of Functions expects by default."""

    def __init__(self, config: StorageConfig, credential: Callable[[], TokenCredential]) -> None:
        self._config, self._credential = config, credential
        self._client = functools.cache(self._make_client)

    def put(self, queue: str, text: bytes) -> None:
        """Queue a message that stays until it is taken."""
        with translated("storage_unavailable", "storage_denied", "storage_incomplete", service="queues"):
            self._client(queue).send_message(text, time_to_live=_FOR_EVER)

    def _make_client(self, queue: str) -> QueueClient:
        encode = BinaryBase64EncodePolicy()
        return queue_client(self._config, self._credential, queue, message_encode_policy=encode)
