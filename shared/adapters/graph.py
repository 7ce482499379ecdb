"""Send mail through Microsoft Graph.

https://learn.microsoft.com/graph/api/resources/message and …/graph/outlook-large-attachments.
"""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from shared.adapters.graph_error_mapping import graph_error
from shared.adapters.graph_responses import (
    document_of,
    error_codes,
    next_range,
    read_message,
    read_name,
    response_id,
    text_member,
)
from shared.adapters.http import GRAPH_RESPONSE_SECONDS, HttpClient, NoResponseError, NotSentError
from shared.errors import ConfigurationError, NothingSentError, OutcomeUnknownError, TransientError
from shared.mail.payload import KEY_PROPERTY
from shared.sending.errors import DraftLostError, UploadInterruptedError

if TYPE_CHECKING:
    from shared.adapters.http import HttpResponse
    from shared.sending.ports import FoundMail
    from shared.settings.sender import Sender

_JSON = {"Content-Type": "application/json"}
_MAX_PAGES = 100
#: Statuses of an upload host for a session that it does not know any more, and for one whose draft has
#: changed since (microsoftgraph/msgraph-sdk-dotnet#1287).
_SESSION_ENDED = frozenset({401, 404, 409, 410, 412})
#: Statuses of a server that does not know `permanentDelete`.
_NO_SUCH_ACTION = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
#: Graph's codes for a draft that does not exist in the mailbox any more.
_GONE = frozenset({"ErrorItemNotFound", "itemNotFound"})
#: Problem codes of a refused chunk that do not concern the file, so that it may be uploaded in a new session.
_NEEDS_NEW_SESSION = frozenset(
    {
        "access_denied",
        "mail_rejected",
        "mailbox_not_found",
        "organization_not_found",
        "send_as_denied",
        "unexpected_answer",
    }
)
#: The path of a call that names one message has this part. The path of the search by key does not.
_MESSAGES = "messages/"


class GraphMailTransport:
    """Sends mail through Graph over pooled connections."""

    def __init__(self, endpoint: str) -> None:
        self._root = f"{endpoint}/v1.0"
        self._http = HttpClient(GRAPH_RESPONSE_SECONDS)

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        """Send a mail in one request, and return Graph's request id.

        Only 202 is success: Graph can answer an oversized mail with 200 and lose it.
        """
        return self._send("sendMail", token, sender, body)

    def create_draft(self, token: str, sender: Sender, message: bytes) -> str:
        """Create a draft and return its id, which it keeps when sent."""
        response = self._call("POST", "messages", token, sender, message, expected_status=HTTPStatus.CREATED)
        return text_member(response, "id")

    def attach(self, token: str, sender: Sender, draft_id: str, file: bytes) -> None:
        """Attach a small file to a draft."""
        path = f"{_draft(draft_id)}/attachments"
        self._call(
            "POST", path, token, sender, file, expected_status=HTTPStatus.CREATED, missing="draft_not_ready"
        )

    def list_attachments(self, token: str, sender: Sender, draft_id: str) -> tuple[str, ...]:
        """Return the names of a draft's files, including inline ones."""
        path = f"{_draft(draft_id)}/attachments?$select=id,name&$top=1000"
        return tuple(read_name(each) for each in self._list(path, token, sender))

    def open_upload(self, token: str, sender: Sender, draft_id: str, item: bytes) -> str:
        """Open an upload session for a large file; return the chunks' URL."""
        path = f"{_draft(draft_id)}/attachments/createUploadSession"
        response = self._call(
            "POST", path, token, sender, item, expected_status=HTTPStatus.CREATED, missing="draft_not_ready"
        )
        address = text_member(response, "uploadUrl")
        if not address.startswith("https://"):
            raise TransientError("graph_unavailable", request_id=response.headers.get("request-id"))
        return address

    def put_chunk(self, sender: Sender, url: str, chunk: bytes, first: int, total: int) -> int | None:
        """Upload the bytes from `first`; return where the next chunk begins.

        Returns None after the last chunk. The request has no token, because the URL itself authorises it, and
        the upload host refuses a chunk with a token of Graph.
        """
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"bytes {first}-{first + len(chunk) - 1}/{total}",
        }
        response = self._send_request("PUT", url, headers, chunk, is_send=False)
        if response.status == HTTPStatus.CREATED:
            if first + len(chunk) < total:
                # A mail with an incomplete file must not be sent; the draft shows whether the file is there.
                raise UploadInterruptedError(request_id=response.headers.get("request-id"))
            return None
        # Outlook's upload host answers 200 to a stored chunk, OneDrive's 202.
        if response.status in {HTTPStatus.OK, HTTPStatus.ACCEPTED}:
            return next_range(response, first + len(chunk))
        error = graph_error(response, sender, is_send=False)
        over = response.status in _SESSION_ENDED or isinstance(error, ConfigurationError)
        if over or error.code in _NEEDS_NEW_SESSION:
            raise UploadInterruptedError(request_id=error.request_id)
        raise error

    def send_draft(self, token: str, sender: Sender, draft_id: str) -> str:
        """Send a draft, and return Graph's request id."""
        return self._send(f"{_draft(draft_id)}/send", token, sender, b"")

    def find(self, token: str, sender: Sender, key: str) -> tuple[FoundMail, ...]:
        """Return every message that has this hexadecimal key, in any folder."""
        test = f"ep/id eq '{KEY_PROPERTY}' and ep/value eq '{key}'"
        wanted = quote(f"singleValueExtendedProperties/Any(ep: {test})", safe="")
        path = f"messages?$filter={wanted}&$select=id,isDraft&$top=50"
        return tuple(read_message(each) for each in self._list(path, token, sender))

    def find_draft(self, token: str, sender: Sender, draft_id: str) -> tuple[FoundMail, ...]:
        """Return the message created as this draft, sent or not, if found."""
        path = f"{_draft(draft_id)}?$select=id,isDraft"
        try:
            response = self._call("GET", path, token, sender, expected_status=HTTPStatus.OK)
        except DraftLostError:
            return ()
        return (read_message(document_of(response)),)

    def remove(self, token: str, sender: Sender, draft_id: str) -> None:
        """Delete a draft permanently; one that does not exist is no error.

        DELETE would move the draft to Deleted Items. It is used only if Graph has no `permanentDelete`, as in
        the national clouds: https://learn.microsoft.com/graph/api/message-permanentdelete
        """
        draft = _draft(draft_id)
        response = self._request("POST", f"{draft}/permanentDelete", token, sender, b"", is_send=False)
        if response.status in _NO_SUCH_ACTION and not _GONE & set(error_codes(response)):
            response = self._request("DELETE", draft, token, sender, None, is_send=False)
        if response.status != HTTPStatus.NO_CONTENT and not _GONE & set(error_codes(response)):
            raise graph_error(response, sender, is_send=False, carries_mail=False)

    def close(self) -> None:
        """Close the pooled connections."""
        self._http.close()

    def _send(self, path: str, token: str, sender: Sender, body: bytes) -> str:
        status = HTTPStatus.ACCEPTED
        response = self._call("POST", path, token, sender, body, expected_status=status, is_send=True)
        return response_id(response)

    def _list(self, path: str, token: str, sender: Sender) -> list[object]:
        """Return all items of a list, from all of its pages.

        https://learn.microsoft.com/graph/paging
        """
        found: list[object] = []
        page = path
        for _ in range(_MAX_PAGES):
            document = document_of(self._call("GET", page, token, sender, expected_status=HTTPStatus.OK))
            items, next_page = document.get("value"), document.get("@odata.nextLink")
            if not isinstance(items, list):
                break
            found += items
            if not next_page:
                return found
            page = str(next_page)
            if not page.startswith(f"{self._root}/"):
                # Graph's token must not be sent to another host.
                break
        raise TransientError("graph_unavailable")

    def _call(
        self,
        method: str,
        path: str,
        token: str,
        sender: Sender,
        body: bytes | None = None,
        *,
        expected_status: HTTPStatus,
        is_send: bool = False,
        missing: str | None = None,
    ) -> HttpResponse:
        """Make one call; `path` is relative to the mailbox or a URL from Graph.

        `missing` is the problem code for a 404, for a call that can miss one thing only.
        """
        response = self._request(method, path, token, sender, body, is_send=is_send)
        if missing and response.status == HTTPStatus.NOT_FOUND:
            # A new draft is not on every server at once; if it is lost, a later attempt creates another.
            raise TransientError(missing, request_id=response.headers.get("request-id"))
        if response.status != expected_status:
            raise graph_error(
                response, sender, is_send=is_send, names_draft=_MESSAGES in path, carries_mail=method != "GET"
            )
        return response

    def _request(
        self, method: str, path: str, token: str, sender: Sender, body: bytes | None, *, is_send: bool
    ) -> HttpResponse:
        """Make one call with a token, and return its response."""
        address = path if path.startswith(f"{self._root}/") else f"{self._root}/{sender.mailbox}/{path}"
        headers = {
            "Authorization": f"Bearer {token}",
            "client-request-id": str(uuid.uuid4()),
            # A draft keeps its id when it becomes a sent mail.
            "Prefer": 'IdType="ImmutableId"',
        }
        if body:
            headers |= _JSON
        return self._send_request(method, address, headers, body, is_send=is_send)

    def _send_request(
        self, method: str, address: str, headers: dict[str, str], body: bytes | None, *, is_send: bool
    ) -> HttpResponse:
        try:
            return self._http.request(method, address, headers, body)
        except NotSentError as error:
            raise NothingSentError("graph_unavailable") from error
        except NoResponseError as error:
            if is_send:
                raise OutcomeUnknownError("outcome_unknown") from error
            raise TransientError("graph_unavailable") from error


def _draft(draft_id: str) -> str:
    return f"messages/{quote(draft_id, safe='')}"
