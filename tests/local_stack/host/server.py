"""The whole host: an app behind HTTP, its queue triggers and timers."""

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Generator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.local_stack.host.admin import Admin
from tests.local_stack.host.console import Console, PythonLog
from tests.local_stack.host.dispatcher import Dispatcher
from tests.local_stack.host.http_functions import HttpFunctions
from tests.local_stack.host.keys import Keys
from tests.local_stack.host.messages import LogRecord
from tests.local_stack.host.options import HostOptions
from tests.local_stack.host.request_handler import RequestHandler
from tests.local_stack.host.script_host import ScriptHost
from tests.local_stack.host.settings import HostSettings
from tests.local_stack.host.storage import StorageQueues
from tests.local_stack.host.web_server import WebServer
from tests.local_stack.host.workers import Workers


class LocalHost:
    """A function app with its triggers: `async with LocalHost(...) as host`."""

    def __init__(self, options: HostOptions) -> None:
        self.port = options.port
        self._options = options
        self._settings = HostSettings.read(options.app_directory, os.environ)
        self._console = Console(self._settings.log_levels)
        self._queues = StorageQueues(base64_encoded=self._settings.queues.base64)
        self._workers = Workers(options.app_directory, self._console, options.waits, self._record_log)
        self._dispatcher = Dispatcher(self._workers, self._queues, self._console, self._settings.timeout)
        self._cleanup = contextlib.AsyncExitStack()

    @property
    def url(self) -> str:
        return f"{'https' if self._options.tls_certificate else 'http'}://localhost:{self.port}"

    @property
    def crash_limit_reached(self) -> asyncio.Event:
        """Set when the worker process has crashed too often."""
        return self._workers.crash_limit_reached

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as cleanup:
            cleanup.enter_context(_shown(self._console))
            cleanup.push_async_callback(self._queues.close)
            cleanup.push_async_callback(self._workers.stop)
            host = ScriptHost(await self._workers.start(), self._dispatcher, self._console)
            host.load(self._settings, self._queues, self._options.waits)
            server = self._web_server(host, cleanup)
            waits = self._options.waits
            cleanup.push_async_callback(host.triggers.stop)
            cleanup.push_async_callback(host.wait_for_triggered, waits.queue_stop)
            self.port = await server.start(self._options.port)
            cleanup.push_async_callback(server.stop, waits.http_stop)
            host.triggers.start()
            self._cleanup = cleanup.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Refuse new connections, wait for running work, then end the rest."""
        await self._cleanup.aclose()

    def _web_server(self, host: ScriptHost, cleanup: contextlib.AsyncExitStack) -> WebServer:
        options, settings = self._options, self._settings
        keys = Keys(options.master_key, options.host_key)
        functions = HttpFunctions(host.enabled, settings.route_prefix, self._dispatcher, keys)
        admin = Admin(host, keys)
        cleanup.push_async_callback(admin.finish)
        front = RequestHandler(functions, admin, settings, options.cors)
        return WebServer(front.handle, options.tls_certificate, options.tls_key)

    def _record_log(self, record: LogRecord) -> None:
        self._dispatcher.show(record)
        if self._options.log_records:
            _append(self._options.log_records, record)


async def run_host(options: HostOptions) -> int:
    """Run a host until SIGINT and return its exit status.

    It prints `Now listening on: <url>` once it is ready. SIGTERM it ignores, as the genuine host does when
    run bare.

    Raises:
        HostSettingError: host.json, a setting or a binding is not covered.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    async with LocalHost(options) as host:
        print(f"Now listening on: {host.url}\nApplication started. Press Ctrl+C to shut down.", flush=True)
        await _wait_for_first(stop.wait, host.crash_limit_reached.wait)
        print("Application is shutting down...", flush=True)
    return 0 if stop.is_set() else 1


async def _wait_for_first(*waits: Callable[[], Coroutine[object, object, object]]) -> None:
    tasks = [asyncio.create_task(wait()) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


@contextlib.contextmanager
def _shown(console: Console) -> Generator[None]:
    """Print the log of the host's libraries on the console."""
    handler = PythonLog(console)
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)


def _append(path: Path, record: LogRecord) -> None:
    line = {
        "at": datetime.now(UTC).isoformat(),
        "invocation": record.invocation_id,
        "level": record.level,
        "text": record.text,
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
