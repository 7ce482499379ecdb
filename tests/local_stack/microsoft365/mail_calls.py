"""Graph's mail routes for requests that have passed the checks."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from aiohttp import web

from .access import AccessRules, Call
from .behaviour import Behaviour
from .gate import read_body
from .mail import GraphError, Message
from .mailboxes import FOLDERS, Mailboxes
from .message_json import (
    folder_id,
    read_attachment,
    read_message,
    unreadable,
    write_attachment,
    write_message,
)
from .mime import read_mime
from .odata import Query, read_query, same_property
from .submission import Submission
from .uploads import Uploads

TOO_LONG = "The maximum request length supported is 4MB."
_READ = ("Mail.ReadWrite", "Mail.Read")
_WRITE = ("Mail.ReadWrite",)


class MailCalls:
    """The handlers."""

    def __init__(
        self, rules: AccessRules, mailboxes: Mailboxes, uploads: Uploads, behaviour: Behaviour
    ) -> None:
        self._rules = rules
        self._mailboxes = mailboxes
        self._uploads = uploads
        self._behaviour = behaviour
        self.origin = ""

    async def _body(self, call: Call) -> bytes:
        body = await read_body(call.request, self._behaviour.wall)
        if body is None:
            raise GraphError(413, "BadRequest", TOO_LONG)
        return body

    async def _json(self, call: Call) -> dict[str, Any]:
        body = await self._body(call)
        if call.request.content_type != "application/json":
            raise GraphError(415, "UnsupportedMediaType", "The content type must be application/json.")
        try:
            document = json.loads(body)
        except ValueError as error:
            raise unreadable("Unable to read JSON request payload.") from error
        if not isinstance(document, dict):
            raise unreadable("Unable to read JSON request payload.")
        return document

    async def send_mail(self, call: Call) -> web.Response:
        """Accept a complete mail as JSON or MIME."""
        self._rules.require(call.access, call.mailbox, "Mail.Send")
        if call.request.content_type == "text/plain":
            raw, fields, files = read_mime(await self._body(call))
            self._submit(call, (fields, files, []), save=True, mime=raw)
            return web.Response(status=202)
        document = await self._json(call)
        for name in document:
            if name.lower() not in {"message", "savetosentitems"}:
                text = (
                    f"The parameter '{name}' in the request payload is not a valid parameter for 'sendMail'."
                )
                raise unreadable(text)
        lower = {name.lower(): value for name, value in document.items()}
        if "message" not in lower:
            raise unreadable("The parameter 'Message' is missing in the request payload.")
        message = read_message(lower["message"], self._behaviour)
        self._submit(call, message, save=_parse_boolean(lower.get("savetosentitems", True)))
        return web.Response(status=202)

    def _submit(self, call: Call, message: Any, *, save: bool, mime: bytes | None = None) -> None:
        self._rules.require_from(call.access, _from(message[0]))
        self._mailboxes.send_mail(self._submission(call, "sendMail"), message, save=save, mime=mime)

    async def create_draft(self, call: Call) -> web.Response:
        """Store a draft from JSON or MIME."""
        self._rules.require(call.access, call.mailbox, *_WRITE)
        if call.request.content_type == "text/plain":
            raw, fields, files = read_mime(await self._body(call))
            draft = self._mailboxes.create_draft(call.mailbox, fields, files, [], raw)
        else:
            draft = self._mailboxes.create_draft(
                call.mailbox, *read_message(await self._json(call), self._behaviour)
            )
        return self._written(call, draft, status=201)

    async def list_messages(self, call: Call) -> web.Response:
        """Find messages, in one folder or in all."""
        self._rules.require(call.access, call.mailbox, *_READ)
        query = read_query(call.request.query)
        if self._behaviour.large_mailbox and "ExtendedProperties" in call.request.query.get("$filter", ""):
            raise GraphError(504, "UnknownError", "")
        folder = self._folder(call) if "folder" in call.request.match_info else ""
        found = [
            m for m in self._mailboxes.list_messages(call.mailbox, folder) if all(t(m) for t in query.tests)
        ]
        page, more = self._page(call, found, query.skip, query.top)
        context = {"@odata.context": f"{self.origin}/v1.0/$metadata#{call.root}/messages"}
        return self._respond(
            call, context | more | {"value": [self._document(call, message, query) for message in page]}
        )

    async def get_message(self, call: Call) -> web.Response:
        """Read one message."""
        self._rules.require(call.access, call.mailbox, *_READ)
        return self._written(call, self._message(call), query=read_query(call.request.query))

    async def update_message(self, call: Call) -> web.Response:
        """Change a draft."""
        self._rules.require(call.access, call.mailbox, *_WRITE)
        message = self._message(call)
        fields, _, extended = read_message(await self._json(call), self._behaviour)
        self._mailboxes.change(message, fields, extended)
        return self._written(call, message)

    async def delete_message(self, call: Call) -> web.Response:
        """Move a message to Deleted Items, or out of them."""
        self._rules.require(call.access, call.mailbox, *_WRITE)
        self._mailboxes.delete(self._message(call))
        return web.Response(status=204)

    async def delete_for_good(self, call: Call) -> web.Response:
        """Remove a message."""
        if not self._behaviour.permanent_delete:
            raise GraphError(400, "BadRequest", "Resource not found for the segment 'permanentDelete'.")
        self._rules.require(call.access, call.mailbox, *_WRITE)
        self._mailboxes.delete(self._message(call), for_good=True)
        return web.Response(status=204)

    async def send_draft(self, call: Call) -> web.Response:
        """Send a draft; the request must declare an empty body."""
        self._rules.require(call.access, call.mailbox, "Mail.Send")
        if call.request.headers.get("Content-Length") != "0":
            raise GraphError(411, "BadRequest", "Content-Length: 0 is required.")
        message = self._message(call)
        self._rules.require_from(call.access, _from(message.fields))
        self._mailboxes.send_draft(self._submission(call, "send"), message)
        return web.Response(status=202)

    async def list_attachments(self, call: Call) -> web.Response:
        """List a message's files, without their bytes."""
        self._rules.require(call.access, call.mailbox, *_READ)
        skip = read_query(call.request.query).skip
        page, more = self._page(call, self._message(call).attachments, skip, self._behaviour.longest_page)
        return self._respond(call, more | {"value": [write_attachment(a, whole=False) for a in page]})

    async def attach(self, call: Call) -> web.Response:
        """Put a small file on a draft."""
        self._rules.require(call.access, call.mailbox, *_WRITE)
        message = self._message(call)
        attachment = read_attachment(await self._json(call), self._behaviour)
        self._mailboxes.attach(message, attachment, call.mailbox)
        return self._respond(call, write_attachment(attachment, whole=False), status=201)

    async def create_session(self, call: Call) -> web.Response:
        """Open an upload session for a large file."""
        self._rules.require(call.access, call.mailbox, *_WRITE)
        message = self._message(call)
        document = await self._json(call)
        session = self._uploads.open(document, message, call.mailbox, call.access.client_id)
        context = {"@odata.context": f"{self.origin}/v1.0/$metadata#microsoft.graph.uploadSession"}
        return self._respond(call, context | self._uploads.describe(session), status=201)

    async def get_folder(self, call: Call) -> web.Response:
        """Describe a folder."""
        self._rules.require(call.access, call.mailbox, *_READ)
        folder = self._folder(call)
        count = len(self._mailboxes.list_messages(call.mailbox, folder))
        document = {
            "id": folder_id(call.mailbox.object_id, folder),
            "displayName": folder,
            "totalItemCount": count,
        }
        return self._respond(call, document)

    async def get_user(self, call: Call) -> web.Response:
        """Describe the user; mail permissions are not enough."""
        own = call.access.caller is not None and call.access.caller.object_id == call.mailbox.object_id
        enough = (
            {"User.Read", "User.ReadBasic.All", "User.Read.All"}
            if own
            else {"User.ReadBasic.All", "User.Read.All"}
        )
        if not enough & call.access.permissions:
            raise GraphError(
                403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
            )
        user = call.mailbox
        named = {
            "displayName": user.display_name,
            "mail": user.address,
            "userPrincipalName": user.principal_name,
        }
        return self._respond(call, {"id": user.object_id} | named)

    def _page[Item](
        self, call: Call, found: Sequence[Item], skip: int, top: int
    ) -> tuple[Sequence[Item], dict[str, Any]]:
        """Return one page of a list with the link to the next one, if any."""
        end = skip + min(top, self._behaviour.longest_page)
        if len(found) <= end:
            return found[skip:end], {}
        rest = call.request.url.update_query({"$skip": str(end)})
        return found[skip:end], {"@odata.nextLink": f"{self.origin}{rest.raw_path_qs}"}

    def _message(self, call: Call) -> Message:
        return self._mailboxes.find(call.mailbox, call.request.match_info["message"])

    def _folder(self, call: Call) -> str:
        name = call.request.match_info["folder"]
        ids = {folder_id(call.mailbox.object_id, folder): folder for folder in FOLDERS}
        folder = ids.get(name, name.lower())
        if folder not in FOLDERS:
            raise GraphError(404, "ErrorItemNotFound", "The specified folder was not found.")
        return folder

    @staticmethod
    def _submission(call: Call, operation: str) -> Submission:
        marked = call.request.headers.get("client-request-id", "")
        return Submission(operation, call.mailbox, call.access.caller, call.access.client_id, marked)

    def _document(self, call: Call, message: Message, query: Query) -> dict[str, Any]:
        document = write_message(message, immutable=call.immutable, select=query.select)
        if query.attachments:
            document["attachments"] = [write_attachment(a, whole=True) for a in message.attachments]
        if query.extended:
            name = same_property(query.extended)
            document["singleValueExtendedProperties"] = [
                p for p in message.extended if same_property(p["id"]) == name
            ]
        return document

    def _written(
        self, call: Call, message: Message, *, query: Query | None = None, status: int = 200
    ) -> web.Response:
        context = {"@odata.context": f"{self.origin}/v1.0/$metadata#{call.root}/messages/$entity"}
        response = self._respond(
            call, context | self._document(call, message, query or Query()), status=status
        )
        if status == HTTPStatus.CREATED:
            identity = quote(message.immutable_id if call.immutable else message.plain_id, safe="")
            response.headers["Location"] = f"{self.origin}/v1.0/{call.root}/messages('{identity}')"
        return response

    @staticmethod
    def _respond(call: Call, document: dict[str, Any], *, status: int = 200) -> web.Response:
        applied = {"Preference-Applied": 'IdType="ImmutableId"'} if call.immutable else {}
        return web.json_response(document, status=status, headers=applied)


def _from(fields: dict[str, Any]) -> str:
    sender = fields.get("from")
    return sender["emailAddress"]["address"] if sender else ""


def _parse_boolean(value: Any) -> bool:
    # Both spellings are in use: Microsoft's own sample sends the string.
    text = str(value).lower()
    if text not in {"true", "false"}:
        raise unreadable("Cannot convert the literal to the expected type 'Edm.Boolean'.")
    return text == "true"
