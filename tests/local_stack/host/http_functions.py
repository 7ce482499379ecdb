"""HTTP functions: routing of requests and conversion of responses.

Source of what reaches Python:
https://github.com/Azure/azure-functions-host/blob/89dc438d/src/WebJobs.Script.Grpc/MessageExtensions/GrpcMessageConversionExtensions.cs.
"""

import os
import re
from collections.abc import Iterable

from tests.local_stack.host.cookies import set_cookie
from tests.local_stack.host.dispatcher import Dispatcher
from tests.local_stack.host.http_messages import Request, Response
from tests.local_stack.host.keys import Keys
from tests.local_stack.host.messages import Function, Message, TypedData
from tests.local_stack.host.routes import Route
from tests.local_stack.host.uris import parse_query, path_to_uri

BODY_LIMIT_SETTING = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"
DEFAULT_BODY_LIMIT = 104_857_600
REASON = "This function was programmatically called via the host APIs."
SENDABLE = re.compile(r"[\t\x20-\x7e]*").fullmatch


class HttpFunctions:
    """Calls the functions for requests."""

    def __init__(
        self, functions: Iterable[Function], prefix: str, dispatcher: Dispatcher, keys: Keys
    ) -> None:
        self._dispatcher = dispatcher
        self._keys = keys
        self._body_limit = int(os.environ.get(BODY_LIMIT_SETTING) or DEFAULT_BODY_LIMIT)
        http = (each for each in functions if each.trigger["type"] == "httpTrigger")
        self._routes = sorted((Route(each, prefix) for each in http), key=lambda route: route.precedence)

    async def handle(self, request: Request) -> Response:
        """Run the matching function: 404 without one, 401 without its key."""
        for route in self._routes:
            values = route.match(request.method, request.path)
            if values is not None:
                break
        else:
            return Response(404)
        if not self._keys.authorizes(request, route.function.trigger.get("authLevel", "FUNCTION")):
            return Response(401)
        if request.content_length > self._body_limit:
            return Response(500, [("Connection", "close")])
        # Without a Content-Length the host hands over nothing, and keeps nothing of what came in chunks.
        body = await request.read_body() if request.content_length else await request.skip_body()
        described = _describe(request, values, body)
        trace_parent = request.headers.get("traceparent", "")
        result = await self._dispatcher.call(
            route.function, TypedData(http=described), {}, reason=REASON, trace_parent=trace_parent
        )
        if result.error:
            return Response(500)
        return _response(result.outputs.get(_output_name(route.function)), request.host)


def _describe(request: Request, values: dict[str, str], body: bytes) -> Message:
    """Describe a request as the host does."""
    query = "?" + request.query.replace("#", "%23") if request.query else ""
    address = f"{request.scheme}://{request.headers.get('host', '')}"
    return Message(
        method=request.method,
        url=address + path_to_uri(request.path) + query,
        headers=dict(request.headers),
        query=parse_query(request.query),
        params=values,
        body=TypedData(bytes=body),
    )


def _output_name(function: Function) -> str:
    return next(str(binding["name"]) for binding in function.bindings if binding["type"] == "http")


def _response(data: TypedData | None, host: str) -> Response:
    if data is None:
        return Response(204)
    if data.kind != "http":
        return Response(200, [("Content-Type", "text/plain; charset=utf-8")], str(data.value).encode())
    http = data.value
    headers = [(str(name), str(value)) for name, value in http.headers.items()]
    headers += [("Set-Cookie", set_cookie(cookie, host)) for cookie in http.cookies or []]
    if not all(SENDABLE(text) for header in headers for text in header):
        return Response(500)
    return Response(int(http.status_code), headers, http.body.value or b"")
