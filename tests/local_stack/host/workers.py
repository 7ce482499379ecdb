"""The current worker process and its replacement after a failure.

Sources: RpcFunctionInvocationDispatcher.cs and WebScriptHostExceptionHandler.cs of
https://github.com/Azure/azure-functions-host/tree/01f83b53/src, and what was observed.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from tests.local_stack.host.console import Console
from tests.local_stack.host.messages import Indexed, Invoke, LogRecord, Result
from tests.local_stack.host.options import Waits
from tests.local_stack.host.worker_process import WorkerProcess

#: So many crashes end the host, unless the one before is longer ago than the window.
MAX_CRASHES = 3
CRASH_WINDOW_SECONDS = 30 * 60
CATEGORY = "Host.Worker"


class Workers:
    """A runner of functions in a worker process that it replaces if needed."""

    def __init__(
        self, app_directory: Path, console: Console, waits: Waits, on_log: Callable[[LogRecord], None]
    ) -> None:
        self.crash_limit_reached = asyncio.Event()
        self._app_directory = app_directory.resolve()
        self._console = console
        self._waits = waits
        self._on_log = on_log
        self._ready = asyncio.Event()
        self._one_start = asyncio.Lock()
        self._crashes: list[float] = []
        self._background: set[asyncio.Task[object]] = set()
        self._current: WorkerProcess

    async def start(self) -> Indexed:
        """Start the first process and return the functions that it found."""
        return await self._start_process()

    async def invoke(self, call: Invoke) -> Result:
        """Run a function, once there is a process for it."""
        await self._ready.wait()
        return await self._current.invoke(call)

    async def end_timed_out(self, invocation_id: str, work: asyncio.Task[Result]) -> None:
        """Wait briefly for a timed-out invocation, then replace the process."""
        done, _ = await asyncio.wait([work], timeout=self._waits.timeout_grace)
        worker = self._current
        if done or worker.disposed or not worker.is_running(invocation_id):
            return
        text = "A function timeout has occurred. Restarting worker process executing invocationId"
        self._console.write(CATEGORY, "warning", f"{text} '{invocation_id}'.")
        self._ready.clear()
        await worker.dispose()
        await self._restart()

    async def stop(self) -> None:
        """End the present process."""
        for task in self._background:
            task.cancel()
        await self._current.dispose()

    async def _start_process(self) -> Indexed:
        self._current = await WorkerProcess.start(self._app_directory, self._console, self._on_log)
        found = await self._current.indexed
        self._run_in_background(self._watch(self._current))
        self._ready.set()
        return found

    async def _restart(self) -> None:
        """Start another process; the next start and the caller must wait."""
        async with self._one_start:
            pause = asyncio.create_task(asyncio.sleep(self._waits.restart))
            await self._start_process()
            await pause

    async def _watch(self, worker: WorkerProcess) -> None:
        await worker.wait()
        if worker.disposed:
            return
        self._ready.clear()
        now = time.monotonic()
        if self._crashes and now - self._crashes[-1] > CRASH_WINDOW_SECONDS:
            self._crashes.clear()
        self._crashes.append(now)
        self._console.write(CATEGORY, "error", f"python exited with code {worker.exit_code}.")
        if len(self._crashes) < MAX_CRASHES:
            self._run_in_background(self._restart())
            return
        text = "Exceeded language worker restart retry count for runtime:python."
        self._console.write(CATEGORY, "error", f"{text} Shutting down the Functions Host.")
        self.crash_limit_reached.set()

    def _run_in_background(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
