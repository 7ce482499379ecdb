"""A server for an aiohttp app in a daemon thread of the test process."""

import asyncio
import ssl
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from aiohttp import web

START_SECONDS = 10.0
STOP_SECONDS = 10.0


class Server:
    """A served app; `stop()` closes its port and ends its thread."""

    def __init__(self, app: web.Application, tls: ssl.SSLContext | None, host: str, port: int) -> None:
        self.host = host
        self._app = app
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._listening: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(port,), name=f"serve {host}", daemon=True)
        self._thread.start()
        self.port = self._listening.result(START_SECONDS)

    @property
    def url(self) -> str:
        """The origin, such as `https://127.0.0.1:40123`; no slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    def stop(self) -> None:
        """Close the port and wait for the thread; a second call does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, port: int) -> None:
        asyncio.set_event_loop(self._loop)
        runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=0.2)
        try:
            self._listening.set_result(self._loop.run_until_complete(self._listen(runner, port)))
            self._loop.run_forever()
        except Exception as failure:  # noqa: BLE001 (raised by the thread that starts the server)
            self._listening.set_exception(failure)
        finally:
            self._loop.run_until_complete(_close(runner))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _listen(self, runner: web.AppRunner, port: int) -> int:
        await runner.setup()
        await web.TCPSite(runner, self.host, port, ssl_context=self._tls).start()
        listening: int = runner.addresses[0][1]
        return listening


async def _close(runner: web.AppRunner) -> None:
    transports = [each.transport for each in runner.server.connections] if runner.server else []
    await runner.cleanup()
    # A client with a kept-alive TLS connection doesn't respond to its closing, and its socket would stay
    # open.
    for transport in filter(None, transports):
        transport.abort()
    await asyncio.sleep(0)


def serve(
    app: web.Application, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> Server:
    """Serve an app until its `Server` is stopped; port 0 means any free one.

    Raises:
        OSError: the port is taken.
    """
    return Server(app, tls, host, port)
