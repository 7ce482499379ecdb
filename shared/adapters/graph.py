"""Microsoft Graph: mail.

https://learn.microsoft.com/graph/api/resources/message and …/graph/outlook-large-attachments.
"""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from shared.adapters.graph_answers import (
    answer_id,
    document_of,
    graph_codes,
    next_range,
    read_message,
    text_member,
)
from shared.adapters.graph_errors import graph_error
from shared.adapters.http import GRAPH_ANSWER_SECONDS, Answer, HttpClient, NoAnswerError, NotSentError
from shared.errors import ConfigurationError, NothingSentError, OutcomeUnknownError, TransientError
from shared.sending.payload import KEY_PROPERTY

if TYPE_CHECKING:
    from shared.sending.ports import FoundMail
    from shared.settings.sender import Sender

_JSON = {"Content-Type": "application/json"}
_MOST_PAGES = 100
#: What an upload's host says of a session that it does not know any more, whatever code it adds, and of one
#: whose draft has changed since (microsoftgraph/msgraph-sdk-dotnet#1287).
_SESSION_OVER = frozenset({401, 404, 409, 410, 412})
#: How a server answers that does not know `permanentDelete`.
_NO_SUCH_ACTION = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
#: Codes of a draft that is not in the mailbox any more.
_GONE = frozenset({"ErrorItemNotFound", "itemNotFound"})
#: Refusals of a chunk after which another session may take the same file.
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
#: In the path of a call that names one message; the look-up by key has its filter there.
_ITEM = "messages/"


class GraphMailTransport:
    """Mail through Graph, over connections that are kept open."""

    def __init__(self, endpoint: str) -> None:
        self._root = f"{endpoint}/v1.0"
        self._http = HttpClient(GRAPH_ANSWER_SECONDS)

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        """Send one mail in one request, and return Graph's id of its answer.

        Only 202 is success: an oversized mail can be answered with 200 and lost.
        """
        return answer_id(
            self._call("POST", "sendMail", token, sender, body, want=HTTPStatus.ACCEPTED, submits=True)
        )

    def create_draft(self, token: str, sender: Sender, message: bytes) -> str:
        """Keep a message in Drafts and return its id, which it keeps when it is sent."""
        answer = self._call("POST", "messages", token, sender, message, want=HTTPStatus.CREATED)
        return text_member(answer, "id")

    def attach(self, token: str, sender: Sender, draft_id: str, file: bytes) -> None:
        """Put a small file on a draft."""
        path = f"{_draft(draft_id)}/attachments"
        self._call("POST", path, token, sender, file, want=HTTPStatus.CREATED, missing="draft_not_ready")

    def count_attachments(self, token: str, sender: Sender, draft_id: str) -> int:
        """Say how many files are on a draft, those inside its text included."""
        return len(self._list(f"{_draft(draft_id)}/attachments?$select=id&$top=1000", token, sender))

    def open_upload(self, token: str, sender: Sender, draft_id: str, item: bytes) -> str:
        """Begin to put a large file on a draft, and return the URL that takes its chunks."""
        path = f"{_draft(draft_id)}/attachments/createUploadSession"
        answer = self._call(
            "POST", path, token, sender, item, want=HTTPStatus.CREATED, missing="draft_not_ready"
        )
        address = text_member(answer, "uploadUrl")
        if not address.startswith("https://"):
            raise TransientError("graph_unavailable", request_id=answer.headers.get("request-id"))
        return address

    def put_chunk(self, sender: Sender, url: str, chunk: bytes, first: int, total: int) -> int | None:
        """Upload the bytes from `first` on; return where the next chunk begins, None after the last.

        The URL is its own key: with a Graph token beside it the upload host refuses the chunk.
        """
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"bytes {first}-{first + len(chunk) - 1}/{total}",
        }
        answer = self._ask("PUT", url, headers, chunk, submits=False)
        if answer.status == HTTPStatus.CREATED:
            if first + len(chunk) < total:
                # A file that is not whole must not be sent; the draft says whether it is there.
                raise TransientError("upload_interrupted", request_id=answer.headers.get("request-id"))
            return None
        if answer.status == HTTPStatus.OK:
            return next_range(answer, first + len(chunk))
        error = graph_error(answer, sender, submits=False)
        over = answer.status in _SESSION_OVER or isinstance(error, ConfigurationError)
        if over or error.code in _NOT_OF_THE_FILE:
            raise TransientError("upload_interrupted", request_id=error.request_id)
        raise error

    def send_draft(self, token: str, sender: Sender, draft_id: str) -> str:
        """Send a draft, and return Graph's id of its answer."""
        path = f"{_draft(draft_id)}/send"
        return answer_id(self._call("POST", path, token, sender, b"", want=HTTPStatus.ACCEPTED, submits=True))

    def find(self, token: str, sender: Sender, key: str) -> tuple[FoundMail, ...]:
        """Return every message in the mailbox that carries this key, in whatever folder."""
        test = f"ep/id eq '{KEY_PROPERTY}' and ep/value eq '{key}'"
        wanted = quote(f"singleValueExtendedProperties/Any(ep: {test})", safe="")
        path = f"messages?$filter={wanted}&$select=id,isDraft&$top=50"
        return tuple(read_message(each) for each in self._list(path, token, sender))

    def find_draft(self, token: str, sender: Sender, draft_id: str) -> tuple[FoundMail, ...]:
        """Return the message that was created as this draft, sent or not; nothing where it is not found."""
        path = f"{_draft(draft_id)}?$select=id,isDraft"
        try:
            answer = self._call("GET", path, token, sender, want=HTTPStatus.OK)
        except TransientError as error:
            if error.code != "draft_lost":
                raise
            return ()
        return (read_message(document_of(answer)),)

    def remove(self, token: str, sender: Sender, draft_id: str) -> None:
        """Remove a draft for good; one that is gone already is no error.

        DELETE would keep its content in Deleted Items. It is only used where Graph has no `permanentDelete`,
        as in the national clouds: https://learn.microsoft.com/graph/api/message-permanentdelete
        """
        draft = _draft(draft_id)
        answer = self._answer("POST", f"{draft}/permanentDelete", token, sender, b"", submits=False)
        if answer.status in _NO_SUCH_ACTION and not _GONE & set(graph_codes(answer)):
            answer = self._answer("DELETE", draft, token, sender, None, submits=False)
        if answer.status != HTTPStatus.NO_CONTENT and not _GONE & set(graph_codes(answer)):
            raise graph_error(answer, sender, submits=False, carries_mail=False)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._http.close()

    def _list(self, path: str, token: str, sender: Sender) -> list[object]:
        """Return what a list holds; any of its pages but the last may be short or empty.

        https://learn.microsoft.com/graph/paging
        """
        found: list[object] = []
        page = path
        for _ in range(_MOST_PAGES):
            document = document_of(self._call("GET", page, token, sender, want=HTTPStatus.OK))
            some, page = document.get("value"), str(document.get("@odata.nextLink", ""))
            if not isinstance(some, list):
                break
            found += some
            if not page:
                return found
            if not page.startswith(f"{self._root}/"):
                # The token is for Graph alone.
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
    ) -> Answer:
        """Make one call; `path` counts from the mailbox, unless it is an address that Graph gave us.

        `missing`: the code of a 404, where it is known what was not found.
        """
        answer = self._answer(method, path, token, sender, body, submits=submits)
        if missing and answer.status == HTTPStatus.NOT_FOUND:
            # A draft that was just made is not on every server at once; one that is lost is made again.
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
    ) -> Answer:
        """Make one call with a token, and return what was answered."""
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
    ) -> Answer:
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
