"""The upload host over HTTP: accepts chunks by URL without a token."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from .behaviour import Behaviour
from .faults import Effect
from .gate import Caller, read_body, write_body
from .mail import GraphError
from .uploads import PATH, Session, Uploads


class Outlook:
    """The host that upload URLs lead to."""

    name = "outlook"

    def __init__(self, uploads: Uploads, behaviour: Behaviour) -> None:
        self._uploads = uploads
        self._behaviour = behaviour
        self.operations: dict[tuple[str, str], str] = {}

    def add_routes(self, app: web.Application) -> None:
        """Register PUT and DELETE; there is no GET."""
        for method, operation, handler in (
            ("PUT", "uploadChunk", self.put),
            ("DELETE", "cancelUpload", self.delete),
        ):
            app.router.add_route(method, PATH, self._handler(handler))
            self.operations[method, PATH] = operation

    async def caller(self, request: web.Request) -> Caller:
        """Name the app and mailbox behind a URL."""
        return self._uploads.mailbox_of(request.match_info["session"])

    def latency(self) -> float:
        """Return the minimum duration of a response."""
        return self._behaviour.latency

    def error(self, request: web.Request, effect: Effect) -> web.Response:
        """Write a fault; this host's errors carry no innerError."""
        code = "" if effect.body == "empty_code" else effect.code or "UnknownError"
        whole: dict[str, Any] = {"error": {"code": code, "message": effect.message}}
        nested = {"error": {"code": "UnknownError", "message": effect.message, "innererror": {"code": code}}}
        text, kind = write_body(effect, whole, nested)
        return web.Response(status=effect.status, text=text, content_type=kind)

    def _handler(
        self, handler: Callable[[web.Request, Session], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                return await handler(request, self._session(request))
            except GraphError as refusal:
                await read_body(request, 0)
                error = {"code": refusal.code, "message": refusal.message}
                return web.json_response({"error": error}, status=refusal.status)

        return handle

    def _session(self, request: web.Request) -> Session:
        if "Authorization" in request.headers:
            # The URL is the key; a Graph token is for another audience, and is refused as such.
            text = "The audience claim value is invalid for current resource."
            raise GraphError(401, "InvalidAudienceForResource", text)
        return self._uploads.find(request.match_info["session"], request.query.get("authtoken", ""))

    async def put(self, request: web.Request, session: Session) -> web.Response:
        """Accept a chunk."""
        if request.content_length is None:
            raise GraphError(411, "BadRequest", "Content-Length is required.")
        self._uploads.start_chunk(session, request.headers.get("Content-Range", ""), request.content_length)
        data: bytes | None = None
        try:
            data = await read_body(request, self._behaviour.chunk_limit)
        finally:
            attachment = self._uploads.store_chunk(session, data)
        if attachment is None:
            return web.json_response(self._uploads.progress(session))
        owner, message = session.mailbox.object_id, session.message.plain_id
        place = f"{self._uploads.origin}/api/gv1.0/Users('{owner}')/Messages('{message}')"
        location = f"{place}/Attachments('{attachment.attachment_id}')"
        return web.Response(status=201, headers={"Location": location})

    async def delete(self, request: web.Request, session: Session) -> web.Response:
        """End a session."""
        self._uploads.cancel(session)
        return web.Response(status=204)
