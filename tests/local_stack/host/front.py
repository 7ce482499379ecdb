"""The host's HTTP side: functions by their routes, the admin address, the headers of host.json.

Source of what reaches Python:
https://github.com/Azure/azure-functions-host/blob/89dc438d/src/WebJobs.Script.Grpc/MessageExtensions/GrpcMessageConversionExtensions.cs.
"""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.local_stack.host.cors import allow_origins
from tests.local_stack.host.dispatcher import Dispatcher
from tests.local_stack.host.routes import Route
from tests.local_stack.host.settings import HostSettings
from tests.local_stack.host.timers import Timer
from tests.local_stack.host.worker import Function, Message, TypedData

#: The default of FUNCTIONS_REQUEST_BODY_SIZE_LIMIT.
MAX_BODY_BYTES = 104_857_600
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Front:
    """Answers HTTP requests with functions."""

    def __init__(self, dispatcher: Dispatcher, settings: HostSettings, timers: list[Timer]) -> None:
        self._dispatcher = dispatcher
        self._settings = settings
        self._timers = {timer.function.name: timer for timer in timers}
        self._background: set[asyncio.Task[Any]] = set()
        http = (each for each in dispatcher.functions.values() if each.trigger["type"] == "httpTrigger")
        routes = [Route(function, settings.route_prefix) for function in http]
        self._routes = sorted(routes, key=lambda route: route.specificity)

    def app(self, origins: Collection[str]) -> web.Application:
        """Build the app, with CORS for these origins."""
        app = web.Application(
            client_max_size=MAX_BODY_BYTES, middlewares=[allow_origins(origins), self._add_headers]
        )
        app.router.add_post("/admin/functions/{name}", self._run_by_hand)
        app.router.add_route("*", "/{path:.*}", self._run_by_route)
        return app

    async def finish(self) -> None:
        """Wait for the functions that were run by hand."""
        await asyncio.gather(*self._background)

    @web.middleware
    async def _add_headers(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        response.headers.update(self._settings.custom_headers)
        # As ASP.NET's: never for loopback names, whose other ports a browser would refuse without TLS then.
        if self._settings.hsts and request.secure and request.url.host not in LOOPBACK:
            response.headers["Strict-Transport-Security"] = self._settings.hsts
        return response

    async def _run_by_hand(self, request: web.Request) -> web.Response:
        """Run a timer or queue function in the background: 202, 404 for a wrong name, 400 without input."""
        function = self._dispatcher.functions.get(request.match_info["name"])
        if function is None:
            return web.Response(status=404)
        try:
            value = TypedData(string=str((await request.json()).get("input", "")))
        except (ValueError, AttributeError):
            return web.Response(status=400)
        if function.trigger["type"] == "httpTrigger":
            return web.Response(status=501, text="Use the function's own route.")
        timer = self._timers.get(function.name)
        work = timer.fire() if timer else self._dispatcher.call(function, value, {})
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return web.Response(status=202)

    async def _run_by_route(self, request: web.Request) -> web.Response:
        path = request.rel_url.path_safe.replace("%25", "%").rstrip("/")
        matches = ((route.function, route.match(request.method, path)) for route in self._routes)
        function, values = next((match for match in matches if match[1] is not None), (None, None))
        if function is None or values is None:
            return web.Response(status=404)
        body = await request.read() if request.content_length else b""
        result = await self._dispatcher.call(
            function,
            TypedData(http=_described(request, values, body)),
            {},
            request.headers.get("traceparent", ""),
        )
        if result.error:
            return web.Response(status=500)
        return _response(result.outputs.get(_output_name(function)))


def _described(request: web.Request, values: dict[str, str], body: bytes) -> Message:
    """Describe a request as the host does: lower-case header names, no empty query values, bytes."""
    headers, query = request.headers, request.query
    return Message(
        method=request.method,
        url=str(request.url),
        headers={name.lower(): ",".join(headers.getall(name)) for name in headers},
        query={name: ",".join(query.getall(name)) for name in query if query[name]},
        params=values,
        body=TypedData(bytes=body),
    )


def _output_name(function: Function) -> str:
    return next(str(binding["name"]) for binding in function.bindings if binding["type"] == "http")


def _response(data: TypedData | None) -> web.Response:
    if data is None:
        return web.Response(status=204)
    if data.kind != "http":
        return web.Response(text=str(data.value))
    http = data.value
    response = web.Response(status=int(http.status_code), headers=http.headers, body=http.body.value)
    for cookie in http.cookies or []:
        response.headers.add("Set-Cookie", _set_cookie(cookie))
    return response


def _set_cookie(cookie: Message) -> str:
    """Write a cookie as ASP.NET does: the runtime took the `Set-Cookie` header apart."""
    # https://github.com/dotnet/aspnetcore, ResponseCookies.cs: the value is escaped, the default path is /.
    parts = [f"{cookie.name}={quote(cookie.value, safe='')}"]
    if cookie.expires:
        expires = datetime.fromtimestamp(cookie.expires.value.seconds, UTC)
        parts.append(f"expires={format_datetime(expires, usegmt=True)}")
    if cookie.max_age:
        parts.append(f"max-age={int(cookie.max_age.value)}")
    if cookie.domain and cookie.domain.value:
        parts.append(f"domain={cookie.domain.value}")
    parts.append(f"path={(cookie.path and cookie.path.value) or '/'}")
    if cookie.secure and cookie.secure.value:
        parts.append("secure")
    if cookie.same_site:
        parts.append(f"samesite={cookie.same_site.lower()}")
    if cookie.http_only and cookie.http_only.value:
        parts.append("httponly")
    return "; ".join(parts)
