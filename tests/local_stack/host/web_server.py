"""The web server: Hypercorn with the rules in which Kestrel differs.

Of the tested servers (Hypercorn, uvicorn, Granian, aiohttp), only Hypercorn responds to broken requests as
Kestrel does, keeps the case of header names, sends bodies in chunks and accepts any method.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.utils import wrap_app

from tests.local_stack.host.http_messages import RejectedError, Request, Response, read_request

ADDRESS = "127.0.0.1"
KEEP_ALIVE_SECONDS = 130.0
NO_BODY = frozenset({204, 304})

type Handler = Callable[[Request], Awaitable[Response]]


class WebServer:
    """Serves a handler on 127.0.0.1 until it is stopped.

    Hypercorn's own `serve` is not used: it cannot cut the calls that still run after a while.
    """

    def __init__(self, handler: Handler, certificate: Path | None, key: Path | None) -> None:
        self._handler = handler
        self._config = Config()
        self._config.certfile = str(certificate) if certificate else None
        self._config.keyfile = str(key) if key else None
        self._config.alpn_protocols = ["http/1.1"]
        self._config.include_server_header = False
        self._config.keep_alive_timeout = KEEP_ALIVE_SECONDS
        self._config.errorlog = None
        self._app = wrap_app(self._serve, self._config.wsgi_max_body_size, "asgi")  # type: ignore[arg-type]
        self._context = WorkerContext(None)
        self._server: asyncio.Server

    async def start(self, port: int) -> int:
        """Start to serve, and return the port; 0 means any free one."""
        tls = self._config.create_ssl_context() if self._config.ssl_enabled else None
        self._server = await asyncio.start_server(self._connected, ADDRESS, port, ssl=tls)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, seconds: float) -> None:
        """Refuse new connections and cut running calls after some seconds."""
        self._server.close()
        await self._context.terminated.set()
        try:
            await asyncio.wait_for(self._server.wait_closed(), seconds)
        except TimeoutError:
            self._server.abort_clients()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            await TCPServer(self._app, loop, self._config, self._context, {}, reader, writer)

    async def _serve(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        response = await self._respond(scope, receive)
        headers = [(name.encode(), value.encode()) for name, value in response.headers]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        body = b"" if response.status in NO_BODY else response.body
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, scope: dict[str, Any], receive: Any) -> Response:
        try:
            response = await self._handler(read_request(scope, receive))
            check_content_length(response)
        except RejectedError as rejected:
            response = Response(rejected.status, [("Connection", "close")])
        response.set_default("Server", "Kestrel")
        if not response.body and response.status not in NO_BODY:
            response.set_default("Content-Length", "0")
        return response


def check_content_length(response: Response) -> None:
    """Refuse a body that is longer than its Content-Length.

    Raises:
        RejectedError: it is.
    """
    told = (int(value) for name, value in response.headers if name.casefold() == "content-length")
    if any(length < len(response.body) for length in told):
        raise RejectedError(500)
