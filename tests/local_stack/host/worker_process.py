"""A worker process as the host sees it: started, called, ended."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.local_stack.host.console import Console
from tests.local_stack.host.messages import Indexed, Invoke, Invoked, LogRecord, Result, read, write

REPOSITORY = Path(__file__).resolve().parents[3]
CONSOLE_CATEGORY = "Host.Function.Console"


class WorkerProcess:
    """A Python process that runs the app; `exited` is set at its end."""

    def __init__(self, process: asyncio.subprocess.Process, on_log: Callable[[LogRecord], None]) -> None:
        self.indexed: asyncio.Future[Indexed] = asyncio.get_running_loop().create_future()
        self.disposed = False
        self._process = process
        self._on_log = on_log
        self._running: dict[str, asyncio.Future[Result]] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        self._writer: asyncio.StreamWriter

    @classmethod
    async def start(cls, app_directory: Path, console: Console, on_log: Callable[[LogRecord], None]) -> Self:
        """Start a process whose output goes to the console."""
        ours, theirs = socket.socketpair()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.local_stack.host.worker_main"),
            *(str(app_directory), str(theirs.fileno())),
            cwd=REPOSITORY,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            pass_fds=[theirs.fileno()],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        theirs.close()
        worker = cls(process, on_log)
        reader, worker._writer = await asyncio.open_connection(sock=ours)
        worker._tasks = [
            asyncio.create_task(worker._listen(reader)),
            asyncio.create_task(worker._copy_console(console)),
        ]
        return worker

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    def is_running(self, invocation_id: str) -> bool:
        """Tell whether the process is running an invocation."""
        return invocation_id in self._running

    async def invoke(self, call: Invoke) -> Result:
        """Run a function; a process disposed of meanwhile never responds."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._running[call.invocation_id] = future
        try:
            write(self._writer, call)
            await self._writer.drain()
        except ConnectionError:
            self._fail_all()
        return await future

    async def wait(self) -> None:
        """Wait until the process has ended and its invocations have failed."""
        await asyncio.wait(self._tasks)
        await self._process.wait()
        if not self.disposed:
            self._fail_all()

    async def dispose(self) -> None:
        """End the process at once; its invocations never respond."""
        self.disposed = True
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await asyncio.wait(self._tasks)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while (message := await read(reader)) is not None:
            match message:
                case Indexed():
                    self.indexed.set_result(message)
                case LogRecord():
                    self._on_log(message)
                case Invoked(invocation_id, result) if not self.disposed:
                    future = self._running.pop(invocation_id, None)
                    if future and not future.done():
                        future.set_result(result)
        self._writer.close()
        if not self.indexed.done():
            self.indexed.set_result(Indexed((), "The worker process ended while it loaded the app."))

    async def _copy_console(self, console: Console) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            console.write(CONSOLE_CATEGORY, "information", line.decode(errors="replace").rstrip("\n"))

    def _fail_all(self) -> None:
        running, self._running = self._running, {}
        for future in running.values():
            if not future.done():
                future.set_result(Result(f"python exited with code {self.exit_code}", {}))
