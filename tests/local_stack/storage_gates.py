"""Gates before Azurite that let tables, queues and blobs fail.

They also do what Azure Storage does and Azurite does not: a response that breaks after its first byte, a
request that is carried out long after it was sent, and the errors of `storage_responses`.
"""

import asyncio
import itertools
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from types import TracebackType
from typing import Literal, Self

from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web
from yarl import URL

from tests.local_stack.azurite import Azurite, Endpoints
from tests.local_stack.serving import serve
from tests.local_stack.storage_responses import StorageResponse

type Service = Literal["blob", "queue", "table"]
#: How a response breaks after its first byte: the connection is closed, reset, closed before the announced
#: length, or nothing more comes.
type Break = Literal["", "closed", "reset", "cut", "stalled"]

MAX_BODY_BYTES = 256 << 20
#: Longer than any client waits.
STALL_SECONDS = 60.0
#: What belongs to one connection and is written anew on the other (RFC 9110, section 7.6.1).
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True)
class Outage:
    """The effect of an outage on requests.

    Attributes:
        reaches: whether requests reach the service.
        responds: whether a response is sent: the true one, or 503 for what was not carried out.
        delay: seconds until the response, or until the connection breaks.
        hold: seconds until the request is carried out, also when its client has given up by then.
        drops_at_once: the connection breaks at once, while the request is still to be carried out.
        breaks: how the true response breaks after its first byte.
        response: what is sent in place of the true response.
        every: apply to every n-th request only.
        times: the number of affected requests; 0 for no limit.
        method: the affected verb; empty for any.
        path: a part of the affected paths; empty for any.
    """

    reaches: bool = True
    responds: bool = True
    delay: float = 0.0
    hold: float = 0.0
    drops_at_once: bool = False
    breaks: Break = ""
    response: StorageResponse | None = None
    every: int = 1
    times: int = 0
    method: str = ""
    path: str = ""

    def applies_to(self, request: web.Request) -> bool:
        """Return whether the outage applies to a request."""
        return self.method in ("", request.method) and self.path in request.raw_path


NOTHING = Outage()
UNAVAILABLE = Outage(reaches=False, responds=False)
BUSY = Outage(reaches=False)
SLOW = Outage(delay=3.0)
RESPONSES_LOST = Outage(responds=False, every=3)


class StorageGate:
    """A proxy of one service that applies outages."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._outage = NOTHING
        self._count = itertools.count(1)
        self._left = 0
        self._late: set[asyncio.Task[web.Response]] = set()
        self.hits = 0
        self.calls = 0

    def app(self) -> web.Application:
        """Build the gate's HTTP interface."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.cleanup_ctx.append(self._connect)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    @property
    def pending(self) -> int:
        """How many requests have not been carried out yet."""
        return len(self._late)

    @contextmanager
    def during(self, outage: Outage) -> Iterator[None]:
        """Apply an outage during the block."""
        self._left, self._count = outage.times or -1, itertools.count(1)
        self._outage = outage
        try:
            yield
        finally:
            self._outage = NOTHING

    async def _connect(self, _: web.Application) -> AsyncIterator[None]:
        # A kept connection may be closed just when it is used again, which is no fault of the outage.
        connector = TCPConnector(force_close=True, limit=0)
        async with ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        ) as self._session:
            yield

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        outage = self._outage_for(request)
        body = await request.read()
        carried_out = asyncio.create_task(self._execute(request, body, outage))
        self._late.add(carried_out)
        carried_out.add_done_callback(self._late.discard)
        if outage.drops_at_once and request.transport:
            request.transport.abort()
        # What a client no longer waits for is carried out all the same.
        response = await asyncio.shield(carried_out)
        await asyncio.sleep(outage.delay)
        if not outage.responds and request.transport:
            request.transport.abort()
        if outage.breaks:
            await _break(request, response, outage.breaks)
        return response

    def _outage_for(self, request: web.Request) -> Outage:
        """Return the outage that applies to this request."""
        outage = self._outage
        if outage == NOTHING or not outage.applies_to(request):
            return NOTHING
        if not self._left or next(self._count) % outage.every:
            return NOTHING
        self._left -= 1
        self.hits += 1
        return outage

    async def _execute(self, request: web.Request, body: bytes, outage: Outage) -> web.Response:
        await asyncio.sleep(outage.hold)
        response = await self._forward(request, body) if outage.reaches else _busy()
        return outage.response.build() if outage.response else response

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        # The path is signed as it was written.
        url = URL(f"{self._upstream}{request.raw_path}", encoded=True)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        async with self._session.request(
            request.method, url, headers=headers, data=BytesIO(body) if body else None, allow_redirects=False
        ) as response:
            kept = [each for each in response.headers.items() if each[0].lower() not in HOP_BY_HOP]
            content = await response.read()
            self.calls += not _found_no_message(request, content)
            return web.Response(status=response.status, headers=dict(kept), body=content)


class StorageGates:
    """A gate for each service; `connection_string` goes through the gates."""

    def __init__(self, azurite: Azurite) -> None:
        self._endpoints = azurite.endpoints

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            self._gates: dict[Service, StorageGate] = {}
            urls = {}
            for service in ("blob", "queue", "table"):
                gate = StorageGate(getattr(self._endpoints, service))
                self._gates[service] = gate
                urls[service] = cleanup.enter_context(serve(gate.app())).url
            self.connection_string = Endpoints(**urls).connection_string()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    @contextmanager
    def during(self, service: Service, outage: Outage) -> Iterator[None]:
        """Apply an outage to one service during the block."""
        with self._gates[service].during(outage):
            yield

    def wait_until_carried_out(self, seconds: float = 10.0) -> None:
        """Wait until every request that was held has been carried out."""
        until = time.monotonic() + seconds
        while any(gate.pending for gate in self._gates.values()):
            if time.monotonic() > until:
                raise TimeoutError("A request was not carried out.")
            time.sleep(0.02)

    @property
    def calls(self) -> Counter[str]:
        """Count the requests carried out by each service, without empty polls."""
        return Counter({service: gate.calls for service, gate in self._gates.items()})

    @property
    def hits(self) -> int:
        """The number of requests affected by outages."""
        return sum(gate.hits for gate in self._gates.values())


def _found_no_message(request: web.Request, content: bytes) -> bool:
    looks = request.method == "GET" and request.path.endswith("/messages")
    return looks and b"<QueueMessage>" not in content


def _busy() -> web.Response:
    # https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
    return web.Response(status=503, headers={"x-ms-error-code": "ServerBusy"})


async def _break(request: web.Request, response: web.Response, how: Break) -> None:
    """Send the start of a response, then break the connection.

    The responses to batches are chunked.
    """
    transport = request.transport
    if transport is None:
        return
    body = response.body if isinstance(response.body, bytes) and request.method != "HEAD" else b""
    chunked = request.raw_path.endswith("$batch") and how != "cut"
    headers = {name: value for name, value in response.headers.items() if name.lower() != "content-length"}
    headers |= {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(body))}
    lines = (f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {response.status} {response.reason}\r\n{''.join(lines)}\r\n".encode()
    part = body[: max(len(body) // 2, 1)]
    size = f"{len(body):x}\r\n".encode() if chunked else b""
    # Where there is no body, the response breaks among its headers.
    transport.write(head + size + part if body else head[: len(head) // 2])
    if how == "stalled":
        until = time.monotonic() + STALL_SECONDS
        while not transport.is_closing() and time.monotonic() < until:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.1)
    if how == "reset":
        # The part arrives first: a reset discards what is still to be sent.
        await asyncio.sleep(0.05)
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    transport.close()
