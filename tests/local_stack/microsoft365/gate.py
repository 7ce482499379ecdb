"""Checks around every request: log, concurrency limit and faults."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Middleware

from .clock import Clock
from .faults import Effect, Faults
from .quotas import Quotas
from .request_log import LoggedRequest, RequestLog, kept_headers

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Caller:
    """The caller of a request: client id and mailbox address, where known."""

    app: str = ""
    mailbox: str = ""
    detail: str = ""


#: The operations that hand a mail over.
_SUBMITTING = frozenset({"sendMail", "send"})


class GatedHost(Protocol):
    """The properties of the host that the gate needs."""

    name: str
    operations: dict[tuple[str, str], str]

    async def caller(self, request: web.Request) -> Caller: ...

    def latency(self) -> float: ...

    def error(self, request: web.Request, effect: Effect) -> web.Response: ...


async def read_body(request: web.Request, limit: int) -> bytes | None:
    """Read a body; None, after reading it all, if it exceeds the limit."""
    parts: list[bytes] = []
    size = 0
    try:
        async for chunk in request.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size <= limit:
                parts.append(chunk)
            else:
                parts.clear()
    except ConnectionResetError as error:
        # The client has disconnected, so nobody receives this response.
        raise web.HTTPBadRequest from error
    return b"".join(parts) if size <= limit else None


class Gate:
    """An aiohttp middleware for one host."""

    def __init__(
        self, host: GatedHost, clock: Clock, faults: Faults, log: RequestLog, quotas: Quotas
    ) -> None:
        self._host = host
        self._quotas = quotas
        self._clock = clock
        self._faults = faults
        self._log = log

    def middleware(self) -> Middleware:
        """Return the gate as aiohttp middleware."""

        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._handle(request, handler)

        return gate

    async def _handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        path = resource.canonical if resource else request.path
        operation = self._host.operations.get((request.method, path))
        if operation is None:
            return await handler(request)
        caller = await self._host.caller(request)
        named = f"{operation}.{caller.detail}" if caller.detail else operation
        number = self._log.begin(self._entry(request, path, named, caller))
        concurrent = self._log.enter(caller.app, caller.mailbox) if caller.mailbox else 0
        try:
            submits = operation in _SUBMITTING
            effect = self._over_quota(request, caller, concurrent, submits=submits) or self._faults.take(
                named, caller.mailbox
            )
            response = await self._apply_effect(request, handler, effect or Effect())
        finally:
            if caller.mailbox:
                self._log.leave(caller.app, caller.mailbox)
        self._log.end(number, response.status if response else 0)
        # A response that cannot be written is aiohttp's way to drop a connection that was cut.
        return response or web.Response()

    def _over_quota(
        self, request: web.Request, caller: Caller, concurrent: int, *, submits: bool
    ) -> Effect | None:
        if not caller.mailbox:
            return None
        length = request.content_length or 0
        return self._quotas.refusal(
            caller.app, caller.mailbox, concurrent, request.method, length, submits=submits
        )

    def _entry(self, request: web.Request, path: str, operation: str, caller: Caller) -> LoggedRequest:
        return LoggedRequest(
            host=self._host.name,
            method=request.method,
            path=path,
            operation=operation,
            mailbox=caller.mailbox,
            at=self._clock.now(),
            header_names=frozenset(name.lower() for name in request.headers),
            headers=kept_headers(dict(request.headers)),
        )

    async def _apply_effect(
        self, request: web.Request, handler: Handler, effect: Effect
    ) -> web.StreamResponse | None:
        if effect.connection == "refused":
            _reset_connection(request)
            return None
        lies = effect.status or effect.aadsts or effect.connection == "reset"
        response: web.StreamResponse
        if not lies or effect.accepted:
            response = await handler(request)
        else:
            await read_body(request, 0)
        await asyncio.sleep(effect.delay + self._host.latency())
        if effect.connection == "reset":
            _reset_connection(request)
            return None
        if lies:
            response = self._host.error(request, effect)
        if effect.retry_after is not None:
            response.headers["Retry-After"] = effect.retry_after
        response.headers.update(effect.headers)
        if effect.connection == "closed":
            response.force_close()
        return response


def _reset_connection(request: web.Request) -> None:
    """Reset a connection, so that the other side reads ECONNRESET."""
    transport = request.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


def write_body(effect: Effect, whole: Mapping[str, object], nested: Mapping[str, object]) -> tuple[str, str]:
    """Write an error's text and content type, as a fault wants it."""
    match effect.body:
        case "html":
            page = f"<html><head><title>{effect.status}</title></head><body>Service error</body></html>"
            return page, "text/html"
        case "empty":
            return "", "text/plain"
        case "raw" | "text":
            return effect.message, "application/json" if effect.body == "raw" else "text/plain"
        case "detailed":
            return json.dumps(_with_inner_error(whole, effect.general)), "application/json"
        case "nested":
            return json.dumps(nested), "application/json"
        case _:
            return json.dumps(whole), "application/json"


def _with_inner_error(whole: Mapping[str, object], general: str) -> Mapping[str, object]:
    """Move an error's code into `innerError` below a general code."""
    match whole:
        case {"error": {"code": code, "message": message, **rest}}:
            inner = rest.get("innerError")
            known = inner if isinstance(inner, dict) else {}
            return {"error": {"code": general, "message": message, "innerError": {"code": code} | known}}
    return whole
