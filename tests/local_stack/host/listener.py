"""A queue trigger: receive, lease, run, complete.

Source: QueueListener.cs and QueueProcessor.cs of
https://github.com/Azure/azure-sdk-for-net/tree/main/sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Queues.
"""

import asyncio
import contextlib
from collections.abc import Coroutine

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage

from tests.local_stack.host.backoff import Backoff
from tests.local_stack.host.console import Console
from tests.local_stack.host.dispatcher import Dispatcher, as_json
from tests.local_stack.host.messages import Function, Result, TypedData
from tests.local_stack.host.settings import QueueSettings, resolve
from tests.local_stack.host.storage import StorageQueues

#: A longer name leaves no room for `-poison` within the 63 characters of a queue name.
MAX_NAME_LENGTH = 56
CATEGORY = "Host.Triggers.Queues"


class QueueListener:
    """A listener that receives messages of a queue until it is stopped."""

    def __init__(
        self,
        function: Function,
        dispatcher: Dispatcher,
        queues: StorageQueues,
        settings: QueueSettings,
        console: Console,
        lease: int,
    ) -> None:
        self._function = function
        self._dispatcher = dispatcher
        self._queues = queues
        self._settings = settings
        self._console = console
        self._lease = lease
        self._connection = function.trigger["connection"]
        self._name = resolve(function.trigger["queueName"])
        self._queue = queues.queue(self._connection, self._name)
        self._binary = str(function.trigger.get("dataType", "")).casefold() == "binary"
        self._has_poison_queue = not self._name.endswith("-poison") and len(self._name) <= MAX_NAME_LENGTH

    async def run(self, stopping: asyncio.Event) -> None:
        """Poll until stopped, then let running invocations finish."""
        running: set[asyncio.Task[None]] = set()
        backoff = Backoff(self._settings.max_polling_interval)
        filled = self._queues.filled(self._connection, self._name)
        while not stopping.is_set():
            messages = await self._receive()
            running |= {asyncio.create_task(self._process(message)) for message in messages}
            while len(running) > self._settings.new_batch_threshold:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            if not messages:
                await _first(stopping.wait(), filled.wait(), seconds=backoff.next_delay())
                filled.clear()
            else:
                backoff.reset()
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
            self._console.write(CATEGORY, "warning", f"Queue '{self._name}' cannot be read: {error}")
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
            elif tries >= limit or not self._has_poison_queue:
                await self._poison(message)
            else:
                delay = int(self._settings.visibility_timeout)
                await self._queue.update_message(message, visibility_timeout=delay)
        except AzureError as error:
            text = f"Message {message.id} of queue '{self._name}' is not completed: {error}"
            self._console.write(CATEGORY, "warning", text)

    async def _invoke(self, message: QueueMessage, body: bytes) -> Result:
        """Run the function and renew the message lease; invalid UTF-8 fails first."""
        try:
            value = TypedData(bytes=body) if self._binary else TypedData(string=body.decode())
        except UnicodeDecodeError as error:
            return Result(f"Exception binding parameter '{self._function.trigger['name']}': {error}", {})
        metadata = {
            "QueueTrigger": value,
            "Id": TypedData(string=message.id),
            "PopReceipt": TypedData(string=message.pop_receipt),
            "DequeueCount": as_json(message.dequeue_count),
            "InsertionTime": as_json(message.inserted_on),
            "ExpirationTime": as_json(message.expires_on),
            "NextVisibleTime": as_json(message.next_visible_on),
        }
        reason = f"New queue message detected on '{self._name}'."
        call = asyncio.create_task(self._dispatcher.call(self._function, value, metadata, reason=reason))
        while not (await asyncio.wait([call], timeout=self._lease / 2))[0]:
            with contextlib.suppress(AzureError):
                renewed = await self._queue.update_message(message, visibility_timeout=self._lease)
                message.pop_receipt = renewed.pop_receipt
        return call.result()

    async def _poison(self, message: QueueMessage) -> None:
        if not self._has_poison_queue:
            return  # The message stays hidden until its lease ends.
        await self._queues.send(self._connection, f"{self._name}-poison", message.content or "")
        await self._queue.delete_message(message)


async def _first(*events: Coroutine[object, object, object], seconds: float) -> None:
    """Wait for the first of several events, or for some seconds."""
    tasks = [asyncio.create_task(event) for event in events]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
