"""Azure Queue Storage: the putting side of `mail-outbox`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from azure.storage.queue import BinaryBase64EncodePolicy, QueueClient

from shared.adapters.azure_errors import translated
from shared.adapters.tables import TIMEOUTS
from shared.storage_names import MAIL_OUTBOX

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from azure.core.credentials import TokenCredential

    from shared.config import StorageConfig

#: The longest delay that a storage queue takes is 7 days; ours are hours.
_FOR_EVER = -1


class StorageQueueOutbox:
    """The queue `mail-outbox`."""

    def __init__(self, config: StorageConfig, credential: Callable[[], TokenCredential]) -> None:
        # The Functions host reads base64 alone; the SDK would write the text as it is.
        if config.connection_string:
            self._queue = QueueClient.from_connection_string(
                config.connection_string,
                MAIL_OUTBOX,
                message_encode_policy=BinaryBase64EncodePolicy(),
                **TIMEOUTS,
            )
        else:
            self._queue = QueueClient(
                config.queue_uri,
                MAIL_OUTBOX,
                credential=credential(),
                message_encode_policy=BinaryBase64EncodePolicy(),
                **TIMEOUTS,
            )

    def put(self, text: bytes, delay: timedelta) -> None:
        """Queue a message that becomes visible after a delay, and stays until it is taken."""
        seconds = max(0, math.ceil(delay.total_seconds()))
        with translated("storage_unavailable", "storage_denied", service="queues"):
            self._queue.send_message(text, visibility_timeout=seconds, time_to_live=_FOR_EVER)
