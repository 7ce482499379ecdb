"""Graph over HTTP: the mail routes of v1.0 for `/me` and `/users/{id}`."""

import json
import uuid
from collections.abc import Awaitable, Callable
from email.utils import format_datetime

from aiohttp import web

from .access import Access, AccessRules, Call
from .behaviour import Behaviour
from .clock import Clock
from .directory import User
from .faults import Effect
from .gate import Caller, read_body, write_body
from .mail import GraphError
from .mail_calls import MailCalls

_REQUEST_ID = web.RequestKey("request_id", str)

type CallHandler = Callable[[Call], Awaitable[web.Response]]


class Graph:
    """The Graph host."""

    name = "graph"

    def __init__(self, rules: AccessRules, calls: MailCalls, clock: Clock, behaviour: Behaviour) -> None:
        self._rules = rules
        self._calls = calls
        self._clock = clock
        self._behaviour = behaviour
        self.operations: dict[tuple[str, str], str] = {}

    def add_routes(self, app: web.Application) -> None:
        """Register every route twice: for `/me` and for `/users/{user}`."""
        calls = self._calls
        message, attachments = "/messages/{message}", "/messages/{message}/attachments"
        routes: list[tuple[str, str, str, CallHandler]] = [
            ("POST", "/sendMail", "sendMail", calls.send_mail),
            ("GET", "/messages", "lookup", calls.list_messages),
            ("POST", "/messages", "createDraft", calls.create_draft),
            ("GET", message, "getMessage", calls.get_message),
            ("PATCH", message, "updateMessage", calls.update_message),
            ("DELETE", message, "deleteMessage", calls.delete_message),
            ("POST", f"{message}/permanentDelete", "permanentDelete", calls.delete_for_good),
            ("POST", f"{message}/send", "send", calls.send_draft),
            ("GET", attachments, "listAttachments", calls.list_attachments),
            ("POST", attachments, "attach", calls.attach),
            ("POST", f"{attachments}/createUploadSession", "createUploadSession", calls.create_session),
            ("GET", "/mailFolders/{folder}", "getFolder", calls.get_folder),
            ("GET", "/mailFolders/{folder}/messages", "lookup", calls.list_messages),
            ("GET", "", "getUser", calls.get_user),
        ]
        for method, suffix, operation, handler in routes:
            for root in ("/v1.0/me", "/v1.0/users/{user}"):
                app.router.add_route(method, f"{root}{suffix}", self._handler(handler))
                self.operations[method, f"{root}{suffix}"] = operation

    async def caller(self, request: web.Request) -> Caller:
        """Name the app and the mailbox; nothing for a token that Graph refuses."""
        try:
            access, mailbox = self._read(request)
        except GraphError:
            return Caller()
        return Caller(access.client_id, mailbox.address)

    def latency(self) -> float:
        """Return the minimum duration of a response."""
        return self._behaviour.latency

    def error(self, request: web.Request, effect: Effect) -> web.Response:
        """Write a fault as Graph writes errors."""
        inner = self._inner(request)
        code = "" if effect.body == "empty_code" else effect.code or "UnknownError"
        whole = {"error": {"code": code, "message": effect.message, "innerError": inner}}
        deep = {"code": "generalException", "innererror": {"code": code, "message": effect.message}}
        nested = {
            "error": {
                "code": "UnknownError",
                "message": effect.message,
                "innererror": inner | {"innererror": deep},
            }
        }
        text, kind = write_body(effect, whole, nested)
        return web.Response(status=effect.status, text=text, content_type=kind, headers=self._headers(inner))

    def _handler(self, handler: CallHandler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                response = await handler(Call(request, *self._read(request)))
            except GraphError as refusal:
                await read_body(request, 0)
                inner = self._inner(request)
                error = {"code": refusal.code, "message": refusal.message, "innerError": inner}
                response = web.json_response({"error": error}, status=refusal.status, headers=refusal.headers)
            response.headers.update(self._headers(self._inner(request)))
            return response

        return handle

    def _read(self, request: web.Request) -> tuple[Access, User]:
        access = self._rules.read(request.headers.get("Authorization", ""))
        return access, self._rules.mailbox(access, request.match_info.get("user", ""))

    def _inner(self, request: web.Request) -> dict[str, str]:
        if _REQUEST_ID not in request:
            request[_REQUEST_ID] = str(uuid.uuid4())
        return {
            "date": f"{self._clock.now():%Y-%m-%dT%H:%M:%S}",
            "request-id": request[_REQUEST_ID],
            "client-request-id": request.headers.get("client-request-id", request[_REQUEST_ID]),
        }

    def _headers(self, inner: dict[str, str]) -> dict[str, str]:
        server = {"ServerInfo": {"DataCenter": "Local", "Slice": "E", "Ring": "1", "RoleInstance": "LOCAL"}}
        return {
            "request-id": inner["request-id"],
            "client-request-id": inner["client-request-id"],
            "Date": format_datetime(self._clock.now(), usegmt=True),
            "x-ms-ags-diagnostic": json.dumps(server),
        }
