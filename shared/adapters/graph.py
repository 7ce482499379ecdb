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
    answer_id,
    document_of,
    graph_codes,
    next_range,
    read_message,
    text_member,
)
from shared.adapters.http import GRAPH_ANSWER_SECONDS, HttpClient, HttpResponse, NoAnswerError, NotSentError
from shared.errors import ConfigurationError, NothingSentError, OutcomeUnknownError, TransientError
from shared.mail.payload import KEY_PROPERTY
from shared.sending.errors import DraftLostError, UploadInterruptedError

if TYPE_CHECKING:
    from shared.sending.ports import FoundMail
    from shared.settings.sender import Sender

_JSON = {"Content-Type": "application/json"}
_MAX_PAGES = 100
#: Status of an upload host for a session that it does not know any more, whatever the code, and for one whose
#: draft has changed since (microsoftgraph/msgraph-sdk-dotnet#1287).
_SESSION_OVER = frozenset({401, 404, 409, 410, 412})
#: Statuses of a server that does not know `permanentDelete`.
_NO_SUCH_ACTION = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
#: Codes for a draft that does not exist in the mailbox any more.
_GONE = frozenset({"ErrorItemNotFound", "itemNotFound"})
#: Refusals of a chunk after which the same file may be uploaded in a new session.
_NOT_OF_THE_FILE = frozenset(
    {
        "access_denied",
        "mail_rejected",
        "mailbox_not_found",
        "organization_not_found",
        "send_as_denied",
        "unexpected_answer",
    }
)
#: The path of a call that names one message; the look-up by key has a filter instead.
_ITEM = "messages/"


class GraphMailTransport:
    """Sends mail through Graph over pooled connections."""

    def __init__(self, endpoint: str) -> None:
        self._root = f"{endpoint}/v1.0"
        self._http = HttpClient(GRAPH_ANSWER_SECONDS)

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        """Send a mail in one request, and return Graph's request id.

        Only 202 is success: Graph can answer an oversized mail with 200 and lose it.
        """
        return answer_id(
            self._call("POST", "sendMail", token, sender, body, want=HTTPStatus.ACCEPTED, submits=True)
        )

    def create_draft(self, token: str, sender: Sender, message: bytes) -> str:
        """Create a draft and return its id, which it keeps when sent."""
        answer = self._call("POST", "messages", token, sender, message, want=HTTPStatus.CREATED)
        return text_member(answer, "id")

    def attach(self, token: str, sender: Sender, draft_id: str, file: bytes) -> None:
        """Attach a small file to a draft."""
        path = f"{_draft(draft_id)}/attachments"
        self._call("POST", path, token, sender, file, want=HTTPStatus.CREATED, missing="draft_not_ready")

    def count_attachments(self, token: str, sender: Sender, draft_id: str) -> int:
        """Count the files of a draft, including inline ones."""
        return len(self._list(f"{_draft(draft_id)}/attachments?$select=id&$top=1000", token, sender))

    def open_upload(self, token: str, sender: Sender, draft_id: str, item: bytes) -> str:
        """Open an upload session for a large file; return the chunks' URL."""
        path = f"{_draft(draft_id)}/attachments/createUploadSession"
        answer = self._call(
            "POST", path, token, sender, item, want=HTTPStatus.CREATED, missing="draft_not_ready"
        )
        address = text_member(answer, "uploadUrl")
        if not address.startswith("https://"):
            raise TransientError("graph_unavailable", request_id=answer.headers.get("request-id"))
        return address

    def put_chunk(self, sender: Sender, url: str, chunk: bytes, first: int, total: int) -> int | None:
        """Upload the bytes from `first`; return where the next chunk begins.

        None after the last chunk.

        The URL itself authorises: the upload host refuses a chunk that also carries a Graph token.
        """
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"bytes {first}-{first + len(chunk) - 1}/{total}",
        }
        answer = self._ask("PUT", url, headers, chunk, submits=False)
        if answer.status == HTTPStatus.CREATED:
            if first + len(chunk) < total:
                # A mail with an incomplete file must not be sent; the draft shows whether the file is there.
                raise UploadInterruptedError(request_id=answer.headers.get("request-id"))
            return None
        if answer.status == HTTPStatus.OK:
            return next_range(answer, first + len(chunk))
        error = graph_error(answer, sender, submits=False)
        over = answer.status in _SESSION_OVER or isinstance(error, ConfigurationError)
        if over or error.code in _NOT_OF_THE_FILE:
            raise UploadInterruptedError(request_id=error.request_id)
        raise error

    def send_draft(self, token: str, sender: Sender, draft_id: str) -> str:
        """Send a draft, and return Graph's request id."""
        path = f"{_draft(draft_id)}/send"
        return answer_id(self._call("POST", path, token, sender, b"", want=HTTPStatus.ACCEPTED, submits=True))

    def find(self, token: str, sender: Sender, key: str) -> tuple[FoundMail, ...]:
        """Return every message in the mailbox that has this key, in any folder."""
        test = f"ep/id eq '{KEY_PROPERTY}' and ep/value eq '{key}'"
        wanted = quote(f"singleValueExtendedProperties/Any(ep: {test})", safe="")
        path = f"messages?$filter={wanted}&$select=id,isDraft&$top=50"
        return tuple(read_message(each) for each in self._list(path, token, sender))

    def find_draft(self, token: str, sender: Sender, draft_id: str) -> tuple[FoundMail, ...]:
        """Return the message created as this draft, sent or not.

        The result is empty where it is not found.
        """
        path = f"{_draft(draft_id)}?$select=id,isDraft"
        try:
            answer = self._call("GET", path, token, sender, want=HTTPStatus.OK)
        except DraftLostError:
            return ()
        return (read_message(document_of(answer)),)

    def remove(self, token: str, sender: Sender, draft_id: str) -> None:
        """Delete a draft permanently; one that does not exist is no error.

        DELETE would move it to Deleted Items. It is used only where Graph has no `permanentDelete`, as in the
        national clouds: https://learn.microsoft.com/graph/api/message-permanentdelete
        """
        draft = _draft(draft_id)
        answer = self._answer("POST", f"{draft}/permanentDelete", token, sender, b"", submits=False)
        if answer.status in _NO_SUCH_ACTION and not _GONE & set(graph_codes(answer)):
            answer = self._answer("DELETE", draft, token, sender, None, submits=False)
        if answer.status != HTTPStatus.NO_CONTENT and not _GONE & set(graph_codes(answer)):
            raise graph_error(answer, sender, submits=False, carries_mail=False)

    def close(self) -> None:
        """Close the pooled connections."""
        self._http.close()

    def _list(self, path: str, token: str, sender: Sender) -> list[object]:
        """Return all items of a list; any page but the last may be short or empty.

        https://learn.microsoft.com/graph/paging
        """
        found: list[object] = []
        page = path
        for _ in range(_MAX_PAGES):
            document = document_of(self._call("GET", page, token, sender, want=HTTPStatus.OK))
            some, page = document.get("value"), str(document.get("@odata.nextLink", ""))
            if not isinstance(some, list):
                break
            found += some
            if not page:
                return found
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
        want: HTTPStatus,
        submits: bool = False,
        missing: str | None = None,
    ) -> HttpResponse:
        """Make one call; `path` is relative to the mailbox or a URL from Graph.

        `missing`: the code for a 404, where it is known what was not found.
        """
        answer = self._answer(method, path, token, sender, body, submits=submits)
        if missing and answer.status == HTTPStatus.NOT_FOUND:
            # A new draft is not on every server at once; a draft that is really lost is created again.
            raise TransientError(missing, request_id=answer.headers.get("request-id"))
        if answer.status != want:
            raise graph_error(
                answer,
                sender,
                submits=submits,
                names_draft=_ITEM in path,
                carries_mail=method != "GET",
            )
        return answer

    def _answer(
        self, method: str, path: str, token: str, sender: Sender, body: bytes | None, *, submits: bool
    ) -> HttpResponse:
        """Make one call with a token, and return its response."""
        address = path if path.startswith(self._root) else f"{self._root}/{sender.mailbox}/{path}"
        headers = {
            "Authorization": f"Bearer {token}",
            "client-request-id": str(uuid.uuid4()),
            # A draft keeps its id when it becomes a sent mail.
            "Prefer": 'IdType="ImmutableId"',
        }
        if body:
            headers |= _JSON
        return self._ask(method, address, headers, body, submits=submits)

    def _ask(
        self, method: str, address: str, headers: dict[str, str], body: bytes | None, *, submits: bool
    ) -> HttpResponse:
        try:
            return self._http.request(method, address, headers, body)
        except NotSentError as error:
            raise NothingSentError("graph_unavailable") from error
        except NoAnswerError as error:
            if submits:
                raise OutcomeUnknownError("outcome_unknown") from error
            raise TransientError("graph_unavailable") from error


def _draft(draft_id: str) -> str:
    return f"messages/{quote(draft_id, safe='')}"
