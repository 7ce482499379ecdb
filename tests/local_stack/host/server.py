"""The host as a whole: an app behind HTTP, its queue triggers and its timers."""

import asyncio
import contextlib
import logging
import signal
import ssl
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.local_stack.host.dispatcher import Dispatcher
from tests.local_stack.host.front import Front
from tests.local_stack.host.listener import LEASE_SECONDS, QueueListener
from tests.local_stack.host.logs import InvocationLog
from tests.local_stack.host.settings import HostSettingError, HostSettings, resolve
from tests.local_stack.host.storage import StorageQueues
from tests.local_stack.host.timers import Timer
from tests.local_stack.host.worker import Worker

BINDINGS = frozenset({"httpTrigger", "http", "queueTrigger", "queue", "timerTrigger"})
ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class HostOptions:
    """How a host is started.

    Attributes:
        port: 0 means any free one.
        lease: seconds for which a received message stays hidden; the real host has ten minutes.
    """

    app_directory: Path
    port: int = 0
    cors: tuple[str, ...] = ()
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    lease: int = LEASE_SECONDS


class LocalHost:
    """A function app behind HTTP and its triggers: `async with LocalHost(options) as host: ...`."""

    def __init__(self, options: HostOptions) -> None:
        self.port = options.port
        self._options = options
        self._settings = HostSettings.read(options.app_directory)
        self._log = InvocationLog(self._settings.log_levels)
        self._worker = Worker(options.app_directory)
        self._queues = StorageQueues(base64_encoded=self._settings.queues.base64)
        self._stopping = asyncio.Event()
        self._cleanup = contextlib.AsyncExitStack()

    @property
    def url(self) -> str:
        return f"{'https' if self._options.tls_certificate else 'http'}://localhost:{self.port}"

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as cleanup:
            cleanup.callback(self._worker.stop)
            self._start_log(cleanup)
            await self._worker.start()
            self._refuse_what_is_not_covered()
            cleanup.push_async_callback(self._queues.close)
            dispatcher = Dispatcher(self._worker, self._queues, self._log, self._settings.timeout)
            timers = [Timer(each, dispatcher) for each in self._triggered_by("timerTrigger")]
            listeners = [
                QueueListener(each, dispatcher, self._queues, self._settings.queues, self._options.lease)
                for each in self._triggered_by("queueTrigger")
            ]
            front = Front(dispatcher, self._settings, timers)
            cleanup.push_async_callback(front.finish)
            await self._listen(front, cleanup)
            self._run_until_stopped(
                [
                    *(each.run(self._stopping) for each in timers),
                    *(each.run(self._stopping) for each in listeners),
                ],
                cleanup,
            )
            self._cleanup = cleanup.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take no more work, finish what is running, release everything."""
        await self._cleanup.aclose()

    def _start_log(self, cleanup: contextlib.AsyncExitStack) -> None:
        root = logging.getLogger()
        root.setLevel(logging.INFO)
        root.addHandler(self._log)
        cleanup.callback(root.removeHandler, self._log)

    def _triggered_by(self, kind: str) -> list[Any]:
        return [each for each in self._worker.functions.values() if each.trigger["type"] == kind]

    def _refuse_what_is_not_covered(self) -> None:
        """Fail at the start, and not in the first message, on bindings and settings that cannot work."""
        for function in self._worker.functions.values():
            for binding in function.bindings:
                if binding["type"] not in BINDINGS or "{" in binding.get("queueName", ""):
                    raise HostSettingError(f"{function.name}: the binding {binding} is not covered.")
                if "queueName" in binding:
                    self._queues.queue(binding["connection"], resolve(binding["queueName"]))

    async def _listen(self, front: Front, cleanup: contextlib.AsyncExitStack) -> None:
        runner = web.AppRunner(front.app(self._options.cors), auto_decompress=False, access_log=None)
        cleanup.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, ADDRESS, self.port, ssl_context=self._tls()).start()
        self.port = runner.addresses[0][1]

    def _tls(self) -> ssl.SSLContext | None:
        if self._options.tls_certificate is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._options.tls_certificate, self._options.tls_key)
        return context

    def _run_until_stopped(
        self, work: list[Coroutine[Any, Any, None]], cleanup: contextlib.AsyncExitStack
    ) -> None:
        tasks = [asyncio.create_task(each) for each in work]

        async def finish() -> None:
            self._stopping.set()
            await asyncio.gather(*tasks)

        cleanup.push_async_callback(finish)


async def run_host(options: HostOptions) -> None:
    """Run a host until SIGTERM or Ctrl-C; it prints `Listening on <url>` once it is ready.

    Raises:
        HostSettingError: host.json, a setting or a binding is wrong or not covered.
        IndexingError: the app cannot be loaded.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with LocalHost(options) as host:
        print(f"Listening on {host.url}", flush=True)
        await stop.wait()
    print("Stopped", flush=True)
