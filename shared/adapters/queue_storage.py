"""Write to the queue `mail-outbox` and the outcome queues."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from azure.storage.queue import BinaryBase64EncodePolicy, QueueClient

from shared.adapters.azure_errors import azure_errors
from shared.adapters.bounded_transport import bounded_transport
from shared.adapters.table_storage import STORAGE_OPTIONS
from shared.deliveries.requeue import message_due_at
from shared.lazy import built_once
from shared.mail_queue import ESCAPED, MAX_BEFORE_BASE64, Backlog
from shared.storage_names import MAIL_OUTBOX, MAIL_OUTBOX_POISON

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from azure.core.credentials import TokenCredential
    from azure.storage.queue import QueueMessage

    from shared.config import StorageConfig

#: The value for a message without an expiry.
_NO_EXPIRY = -1
_ESCAPED = str.maketrans(ESCAPED)


def queue_client(
    config: StorageConfig,
    credential: Callable[[], TokenCredential],
    name: str,
    **options: Any,  # noqa: ANN401 - the SDK's
) -> QueueClient:
    """Connect to one queue of the storage account."""
    options |= {**STORAGE_OPTIONS, "transport": bounded_transport(STORAGE_OPTIONS)}
    if config.connection_string:
        return QueueClient.from_connection_string(config.connection_string, name, **options)
    return QueueClient(config.queue_uri, name, credential=credential(), **options)


class StorageQueueOutbox:
    """The queues `mail-outbox` and `mail-outbox-poison`."""

    def __init__(self, config: StorageConfig, credential: Callable[[], TokenCredential]) -> None:
        # Messages are written in base64, because an older version reads only base64, which matters after a
        # rollback.
        self._config, self._credential = config, credential
        encode = BinaryBase64EncodePolicy()
        self._queue = queue_client(config, credential, MAIL_OUTBOX, message_encode_policy=encode)

    def put(self, text: bytes, delay: timedelta) -> None:
        """Queue a message that becomes visible after a delay.

        A message that is too long for base64 is queued as plain text, which older versions treat as invalid.
        Such a message came as plain text, or was made from a mail of nearly the maximum size.
        """
        seconds = max(0, math.ceil(delay.total_seconds()))
        with azure_errors("storage_unavailable", "storage_denied", "storage_incomplete", service="queues"):
            if len(text) <= MAX_BEFORE_BASE64:
                self._queue.send_message(text, visibility_timeout=seconds, time_to_live=_NO_EXPIRY)
                return
            with queue_client(self._config, self._credential, MAIL_OUTBOX) as queue:
                queue.send_message(_plain(text), visibility_timeout=seconds, time_to_live=_NO_EXPIRY)

    def backlog(self) -> Backlog:
        """Peek at the waiting messages of the queue; none is dequeued."""
        with azure_errors("storage_unavailable", "storage_denied", "storage_incomplete", service="queues"):
            length = _length(self._queue)
            first = self._queue.peek_messages(1) if length else []
            return Backlog(length, _since(first[0]) if first else None)

    def poison_length(self) -> int:
        """Count the poison queue's messages, including invisible ones."""
        with (
            azure_errors("storage_unavailable", "storage_denied", "storage_incomplete", service="queues"),
            queue_client(self._config, self._credential, MAIL_OUTBOX_POISON) as queue,
        ):
            return _length(queue)


def _since(message: QueueMessage) -> datetime | None:
    """Return since when a message waits; a delay does not count."""
    queued = message.inserted_on
    due = message_due_at(str(message.content))
    return max(queued, due) if queued and due else queued


def _length(queue: QueueClient) -> int:
    return int(queue.get_queue_properties().approximate_message_count or 0)


def _plain(text: bytes) -> str:
    """Return a message as a text that is valid in XML."""
    return text.decode(errors="replace").translate(_ESCAPED)


class StorageOutcomeQueues:
    """The queues in which schedulers read outcomes.

    Messages are in base64, which a queue trigger of Azure Functions expects by default.
    """

    def __init__(self, config: StorageConfig, credential: Callable[[], TokenCredential]) -> None:
        self._config, self._credential = config, credential
        self._client = built_once(self._make_client)

    def put(self, queue: str, text: bytes) -> None:
        """Queue a message without an expiry."""
        with azure_errors("storage_unavailable", "storage_denied", "storage_incomplete", service="queues"):
            self._client(queue).send_message(text, time_to_live=_NO_EXPIRY)

    def _make_client(self, queue: str) -> QueueClient:
        encode = BinaryBase64EncodePolicy()
        return queue_client(self._config, self._credential, queue, message_encode_policy=encode)
