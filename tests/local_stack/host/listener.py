"""A queue trigger: receive, lease, run, complete.

Source: QueueListener.cs and QueueProcessor.cs of
https://github.com/Azure/azure-sdk-for-net/tree/main/sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Queues.
"""

import asyncio
import contextlib
import logging

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage

from tests.local_stack.host.dispatcher import Dispatcher, as_json
from tests.local_stack.host.settings import QueueSettings, resolve
from tests.local_stack.host.storage import StorageQueues
from tests.local_stack.host.worker import Function, Result, TypedData

log = logging.getLogger("Host.Triggers.Queues")

POLL_SECONDS = 0.1
#: How long the extension hides a received message; it renews that at half-life.
LEASE_SECONDS = 600
#: A longer name leaves no room for `-poison` within the 63 characters of a queue name.
MAX_NAME_LENGTH = 56


class QueueListener:
    """Takes messages from one queue until the host stops."""

    def __init__(
        self,
        function: Function,
        dispatcher: Dispatcher,
        queues: StorageQueues,
        settings: QueueSettings,
        lease: int = LEASE_SECONDS,
    ) -> None:
        self._function = function
        self._dispatcher = dispatcher
        self._queues = queues
        self._settings = settings
        self._lease = lease
        self._connection = function.trigger["connection"]
        self._name = resolve(function.trigger["queueName"])
        self._queue = queues.queue(self._connection, self._name)

    async def run(self, stopping: asyncio.Event) -> None:
        """Poll until the host stops, then let the running invocations finish."""
        running: set[asyncio.Task[None]] = set()
        while not stopping.is_set():
            messages = await self._receive()
            running |= {asyncio.create_task(self._process(message)) for message in messages}
            while len(running) > self._settings.new_batch_threshold:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            if not messages:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), POLL_SECONDS)
        await asyncio.gather(*running)

    async def _receive(self) -> list[QueueMessage]:
        pages = self._queue.receive_messages(
            messages_per_page=self._settings.batch_size, visibility_timeout=self._lease
        ).by_page()
        try:
            page = await anext(pages, None)
            return [message async for message in page] if page else []
        except ResourceNotFoundError:
            return []  # The queue may be made later.
        except AzureError as error:
            log.warning("Queue '%s' cannot be read: %s", self._name, error)
            return []

    async def _process(self, message: QueueMessage) -> None:
        body = self._queues.decode(message.content or "")
        tries = message.dequeue_count or 0
        limit = self._settings.max_dequeue_count
        try:
            if body is None or tries > limit:
                await self._poison(message)  # The function never sees it.
            elif not (await self._invoke(message, body)).error:
                await self._queue.delete_message(message)
            elif tries >= limit:
                await self._poison(message)
            else:
                delay = int(self._settings.visibility_timeout)
                await self._queue.update_message(message, visibility_timeout=delay)
        except AzureError as error:
            log.warning("Message %s of queue '%s' is not completed: %s", message.id, self._name, error)

    async def _invoke(self, message: QueueMessage, body: bytes) -> Result:
        """Run the function and renew the message's lease meanwhile."""
        value = TypedData(string=body.decode(errors="replace"))
        metadata = {
            "QueueTrigger": value,
            "Id": TypedData(string=message.id),
            "PopReceipt": TypedData(string=message.pop_receipt),
            "DequeueCount": as_json(message.dequeue_count),
            "InsertionTime": as_json(message.inserted_on),
            "ExpirationTime": as_json(message.expires_on),
            "NextVisibleTime": as_json(message.next_visible_on),
        }
        call = asyncio.create_task(self._dispatcher.call(self._function, value, metadata))
        while not (await asyncio.wait([call], timeout=self._lease / 2))[0]:
            with contextlib.suppress(AzureError):
                renewed = await self._queue.update_message(message, visibility_timeout=self._lease)
                message.pop_receipt = renewed.pop_receipt
        return call.result()

    async def _poison(self, message: QueueMessage) -> None:
        if self._name.endswith("-poison") or len(self._name) > MAX_NAME_LENGTH:
            return  # There is no poison queue for these: the message stays hidden until its lease ends.
        log.error("Moving message %s to queue '%s-poison'", message.id, self._name)
        await self._queues.send(self._connection, f"{self._name}-poison", message.content or "")
        await self._queue.delete_message(message)
