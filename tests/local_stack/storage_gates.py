"""Gates before Azurite's services, so that tables, queues and blobs can each fail alone."""

import asyncio
import itertools
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

type Service = Literal["blob", "queue", "table"]

MAX_BODY_BYTES = 256 << 20
#: What belongs to one connection and is written anew on the other (RFC 9110, section 7.6.1).
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True)
class Outage:
    """What a service does to requests.

    Attributes:
        reaches: whether they are carried out.
        answers: whether an answer comes: the true one, or 503 for what was not carried out.
        delay: seconds until the answer, or until the connection breaks.
        every: of how many requests one is meant.
        method: the verb that is meant; empty for any.
    """

    reaches: bool = True
    answers: bool = True
    delay: float = 0.0
    every: int = 1
    method: str = ""


AWAY = Outage(reaches=False, answers=False)
BUSY = Outage(reaches=False)
SLOW = Outage(delay=3.0)
ANSWERS_LOST = Outage(answers=False, every=3)


class StorageGate:
    """Passes requests on to one service while nothing is wrong with it."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._outage = Outage()
        self._count = itertools.count(1)
        self.hits = 0

    def app(self) -> web.Application:
        """Build the gate's HTTP interface."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.cleanup_ctx.append(self._connect)
        app.router.add_route("*", "/{path:.*}", self._pass)
        return app

    @contextmanager
    def during(self, outage: Outage) -> Iterator[None]:
        """Let the service do so for a while."""
        self._outage = outage
        try:
            yield
        finally:
            self._outage = Outage()

    async def _connect(self, _: web.Application) -> AsyncIterator[None]:
        # A kept connection may be closed just when it is used again, which is no fault that was asked for.
        connector = TCPConnector(force_close=True, limit=0)
        async with ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        ) as self._session:
            yield

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        outage = self._outage
        if outage.method not in ("", request.method) or next(self._count) % outage.every:
            outage = Outage()
        self.hits += outage != Outage()
        body = await request.read()
        answer = await self._forward(request, body) if outage.reaches else _busy()
        await asyncio.sleep(outage.delay)
        if not outage.answers and request.transport:
            request.transport.abort()
        return answer

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        # The path is signed as it was written.
        url = URL(f"{self._upstream}{request.raw_path}", encoded=True)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        async with self._session.request(
            request.method, url, headers=headers, data=BytesIO(body) if body else None, allow_redirects=False
        ) as answer:
            kept = [each for each in answer.headers.items() if each[0].lower() not in HOP_BY_HOP]
            return web.Response(status=answer.status, headers=dict(kept), body=await answer.read())


class StorageGates:
    """A gate for each service; `connection_string` is Azurite's, through the gates."""

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
        """Let one service fail so for a while."""
        with self._gates[service].during(outage):
            yield

    @property
    def hits(self) -> int:
        """How many requests went wrong so far."""
        return sum(gate.hits for gate in self._gates.values())


def _busy() -> web.Response:
    # https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
    return web.Response(status=503, headers={"x-ms-error-code": "ServerBusy"})
