"""One invocation: its id, log records, time limit and queue outputs."""

import asyncio
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from azure.core.exceptions import AzureError

from tests.local_stack.host.console import Console, dotnet_level
from tests.local_stack.host.messages import Function, Invoke, LogRecord, Result, TypedData
from tests.local_stack.host.settings import HostSettingError, resolve
from tests.local_stack.host.storage import StorageQueues, message_bodies
from tests.local_stack.host.workers import Workers


class Dispatcher:
    """Runs functions for the triggers."""

    def __init__(
        self, workers: Workers, queues: StorageQueues, console: Console, timeout: float | None
    ) -> None:
        self.running: dict[str, Function] = {}
        self._workers = workers
        self._queues = queues
        self._console = console
        self._timeout = timeout

    async def call(
        self,
        function: Function,
        value: TypedData,
        metadata: Mapping[str, TypedData],
        *,
        reason: str,
        trace_parent: str = "",
    ) -> Result:
        """Run a function and its queue outputs; a failed output fails the call."""
        call = Invoke(
            str(uuid.uuid4()),
            function.id,
            str(function.trigger["name"]),
            value,
            metadata,
            trace_parent or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01",
        )
        self.running[call.invocation_id] = function
        started = time.monotonic()
        text = f"Executing 'Functions.{function.name}' (Reason='{reason}', Id={call.invocation_id})"
        self._console.write(f"Function.{function.name}", "information", text, event=1)
        try:
            result = await self._run(function, call)
        finally:
            del self.running[call.invocation_id]
        self._log_end(function, call.invocation_id, result, time.monotonic() - started)
        return result

    def show(self, record: LogRecord) -> None:
        """Print a log record; drop it without a running invocation, as Azure does."""
        function = self.running.get(record.invocation_id or "")
        if function:
            self._console.write(f"Function.{function.name}.User", dotnet_level(record.level), record.text)

    async def _run(self, function: Function, call: Invoke) -> Result:
        work = asyncio.create_task(self._workers.invoke(call))
        done, _ = await asyncio.wait([work], timeout=self._timeout)
        if not done:
            text = f"Timeout value of {self._timeout} s exceeded by function 'Functions.{function.name}'"
            detail = f"{text} (Id: '{call.invocation_id}'). Initiating cancellation."
            self._console.write(f"Function.{function.name}", "error", detail)
            await self._workers.end_timed_out(call.invocation_id, work)
            work.cancel()
            return Result(f"Microsoft.Azure.WebJobs.Host.FunctionTimeoutException: {text}", {})
        result = work.result()
        try:
            await self._deliver(function, result)
        except (AzureError, HostSettingError, ValueError) as error:
            return Result(f"An output binding of 'Functions.{function.name}' failed: {error!r}", {})
        return result

    async def _deliver(self, function: Function, result: Result) -> None:
        for binding in function.bindings:
            output = result.outputs.get(binding["name"])
            if binding["type"] == "queue" and output:
                for body in message_bodies(output):
                    await self._queues.send(
                        binding["connection"], resolve(binding["queueName"]), self._queues.encode(body)
                    )

    def _log_end(self, function: Function, invocation_id: str, result: Result, seconds: float) -> None:
        """Print the end of an invocation, a failure twice as the real host does."""
        outcome = "Failed" if result.error else "Succeeded"
        took = f"Duration={seconds * 1000:.0f}ms"
        text = f"Executed 'Functions.{function.name}' ({outcome}, Id={invocation_id}, {took})"
        if not result.error:
            self._console.write(f"Function.{function.name}", "information", text, event=2)
            return
        text += f"\n{result.error}"
        self._console.write(f"Function.{function.name}", "error", text, event=3)
        self._console.write("Host.Results", "error", text)


def as_json(value: Any) -> TypedData:
    """Pack a value as the host packs trigger metadata."""
    return TypedData(json=json.dumps(value, default=datetime.isoformat))
