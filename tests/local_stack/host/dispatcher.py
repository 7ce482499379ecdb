"""One invocation from start to end: its id, its log lines, its time limit, its queue outputs."""

import asyncio
import json
import logging
import time
import uuid
from datetime import datetime
from typing import Any

from azure.core.exceptions import AzureError
from azure_functions_runtime.utils.executor import invocation_id_cv

from tests.local_stack.host.logs import InvocationLog
from tests.local_stack.host.settings import HostSettingError, resolve
from tests.local_stack.host.storage import StorageQueues, message_bodies
from tests.local_stack.host.worker import Function, Result, TypedData, Worker


class Dispatcher:
    """Runs functions for the triggers."""

    def __init__(
        self, worker: Worker, queues: StorageQueues, log: InvocationLog, timeout: float | None
    ) -> None:
        self.functions = worker.functions
        self._worker = worker
        self._queues = queues
        self._log = log
        self._timeout = timeout

    async def call(
        self, function: Function, value: TypedData, metadata: dict[str, TypedData], trace_parent: str = ""
    ) -> Result:
        """Run a function and deliver its queue outputs; a delivery that fails, fails the call."""
        invocation_id = str(uuid.uuid4())
        logger = logging.getLogger(f"Function.{function.name}")
        # The runtime sets this variable for its thread pool only; async handlers' log lines need it too.
        token = invocation_id_cv.set(invocation_id)
        self._log.running[invocation_id] = function.name
        started = time.monotonic()
        logger.info("Executing 'Functions.%s' (Id=%s)", function.name, invocation_id)
        try:
            result = await self._run(function, value, metadata, invocation_id, trace_parent)
            outcome = "Failed" if result.error else "Succeeded"
            text = "Executed 'Functions.%s' (%s, Id=%s, Duration=%dms)"
            duration = (time.monotonic() - started) * 1000
            logger.info(text, function.name, outcome, invocation_id, duration)
            if result.error:
                logger.error("%s", result.error)
        finally:
            del self._log.running[invocation_id]
            invocation_id_cv.reset(token)
        return result

    async def _run(
        self,
        function: Function,
        value: TypedData,
        metadata: dict[str, TypedData],
        invocation_id: str,
        trace_parent: str,
    ) -> Result:
        work = self._worker.invoke(
            function, value, metadata, invocation_id=invocation_id, trace_parent=trace_parent
        )
        try:
            result = await asyncio.wait_for(work, self._timeout)
        except TimeoutError:
            # The real host ends the whole worker process here; a thread in it cannot be ended alone.
            return Result(f"Timeout value of {self._timeout} s exceeded by 'Functions.{function.name}'", {})
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


def as_json(value: Any) -> TypedData:
    """Pack a value as the host packs trigger metadata."""
    return TypedData(json=json.dumps(value, default=datetime.isoformat))
