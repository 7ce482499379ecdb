"""Queues of host bindings: connections, encodings and poison queues."""

import asyncio
import base64
import contextlib
import json
import logging
import os
from collections import defaultdict

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from shared.storage_names import API_VERSION
from tests.local_stack.host.messages import TypedData
from tests.local_stack.host.settings import HostSettingError, resolve

REQUEST_LOG = logging.getLogger("Host.Storage")
REQUEST_LOG.setLevel(logging.WARNING)
WHITE_SPACE = dict.fromkeys(map(ord, " \t\r\n"))
#: What a `func.QueueMessage` becomes on its way through the runtime.
QUEUE_MESSAGE = {"id", "body"}


class StorageQueues:
    """The queues of every storage account that a binding names."""

    def __init__(self, *, base64_encoded: bool) -> None:
        self._base64 = base64_encoded
        self._accounts: dict[str, QueueServiceClient] = {}
        self._filled: defaultdict[tuple[str, str], asyncio.Event] = defaultdict(asyncio.Event)

    def filled(self, connection: str, name: str) -> asyncio.Event:
        """Return the event for messages added here, so that listeners poll now."""
        return self._filled[resolve(connection), name]

    def queue(self, connection: str, name: str) -> QueueClient:
        """Open a queue by the setting that has its connection string.

        Raises:
            HostSettingError: the setting is missing, or names an identity.
        """
        connection = resolve(connection or "AzureWebJobsStorage")
        if connection not in self._accounts:
            # Retries would only delay the next poll, and hide from the log that the storage is away.
            # The SDK's own logger belongs to the app, whose calls stand there as they would in Azure.
            self._accounts[connection] = QueueServiceClient.from_connection_string(
                _connection_string(connection), retry_total=0, logger=REQUEST_LOG, api_version=API_VERSION
            )
        return self._accounts[connection].get_queue_client(name)

    async def send(self, connection: str, name: str, text: str) -> None:
        """Add a message as it is, to a queue that is made on demand."""
        queue = self.queue(connection, name)
        try:
            await queue.send_message(text)
        except ResourceNotFoundError:
            with contextlib.suppress(ResourceExistsError):
                await queue.create_queue()
            await queue.send_message(text)
        self.filled(connection, name).set()

    def encode(self, body: bytes) -> str:
        """Turn a body into the text of a message."""
        return (base64.b64encode(body) if self._base64 else body).decode()

    def decode(self, text: str) -> bytes | None:
        """Return the decoded body; None for bad base64. .NET skips white space."""
        if not self._base64:
            return text.encode()
        try:
            return base64.b64decode(text.translate(WHITE_SPACE), validate=True)
        except ValueError:
            return None

    async def close(self) -> None:
        """Close the connections."""
        for account in self._accounts.values():
            await account.close()


def message_bodies(data: TypedData) -> list[bytes]:
    """Return the messages in an output value.

    A JSON array becomes one message for each item, a JSON object is written again with indents, and text
    in brackets that is no JSON fails:
    https://github.com/Azure/azure-functions-host/blob/89dc438d/src/WebJobs.Script/Binding/FunctionBinding.cs.
    """
    if data.kind == "bytes":
        return [data.value]
    text = str(data.value).strip()
    if data.kind != "json" and text[:1] + text[-1:] not in ("{}", "[]"):
        return [str(data.value).encode()]
    parsed = json.loads(text)
    items = parsed if isinstance(parsed, list) else [parsed]
    if data.kind == "json":
        items = [
            item["body"] if isinstance(item, dict) and set(item) == QUEUE_MESSAGE else item for item in items
        ]
    return [(item if isinstance(item, str) else json.dumps(item, indent=2)).encode() for item in items]


def _connection_string(connection: str) -> str:
    text = os.environ.get(f"AzureWebJobs{connection}") or os.environ.get(connection)
    if text:
        return text
    if any(name.startswith(f"{connection}__") for name in os.environ):
        raise HostSettingError(
            f"{connection} is an identity-based connection, which this host doesn't cover; "
            "set a connection string instead."
        )
    raise HostSettingError(f"The setting {connection} is missing.")
