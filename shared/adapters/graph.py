"""Microsoft Graph: mail.

https://learn.microsoft.com/graph/api/resources/message and …/graph/outlook-large-attachments.
"""

from __future__ import annotations

import json
import re
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from shared.adapters.graph_errors import graph_error
from shared.adapters.https import Answer, Connections, NoAnswerError, NotSentError
from shared.errors import ConsentRequiredError, OutcomeUnknownError, TransientError
from shared.sending.payload import KEY_PROPERTY
from shared.sending.ports import FoundMail

if TYPE_CHECKING:
    from shared.settings.sender import Sender

#: Until the connection stands nothing was sent; after that Graph may take its time with a large mail.
_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 100
_JSON = {"Content-Type": "application/json"}
_MOST_PAGES = 100
#: What an upload's host says of a session that it does not know any more, whatever code it adds.
_SESSION_OVER = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_NEXT_RANGE = re.compile(r"\s*(\d+)")


class GraphMailTransport:
    """Mail through Graph, over connections that are kept open."""

    def __init__(self, endpoint: str) -> None:
        self._root = f"{endpoint}/v1.0"
        self._connections = Connections(_CONNECT_SECONDS, _ANSWER_SECONDS)

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        """Send one mail in one request, and return Graph's id of its answer.

        Only 202 is success: an oversized mail can be answered with 200 and lost.
        """
        return _name(
            self._call("POST", "sendMail", token, sender, body, want=HTTPStatus.ACCEPTED, submits=True)
        )

    def create_draft(self, token: str, sender: Sender, message: bytes) -> str:
        """Keep a message in Drafts and return its id, which it keeps when it is sent."""
        answer = self._call("POST", "messages", token, sender, message, want=HTTPStatus.CREATED)
        return str(_document(answer)["id"])

    def attach(self, token: str, sender: Sender, draft_id: str, file: bytes) -> None:
        """Put a small file on a draft."""
        self._call("POST", f"{_draft(draft_id)}/attachments", token, sender, file, want=HTTPStatus.CREATED)

    def count_attachments(self, token: str, sender: Sender, draft_id: str) -> int:
        """Say how many files are on a draft, those inside its text included."""
        return len(self._list(f"{_draft(draft_id)}/attachments?$select=id&$top=1000", token, sender))

    def open_upload(self, token: str, sender: Sender, draft_id: str, item: bytes) -> str:
        """Begin to put a large file on a draft, and return the URL that takes its chunks."""
        path = f"{_draft(draft_id)}/attachments/createUploadSession"
        answer = self._call("POST", path, token, sender, item, want=HTTPStatus.CREATED)
        return str(_document(answer)["uploadUrl"])

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
            return None
        if answer.status == HTTPStatus.OK:
            return _next_range(answer, first + len(chunk))
        error = graph_error(answer, sender, submits=False)
        over = answer.status in _SESSION_OVER or isinstance(error, ConsentRequiredError)
        if over or error.code == "mail_rejected":
            raise TransientError("upload_interrupted", request_id=error.request_id)
        raise error

    def send_draft(self, token: str, sender: Sender, draft_id: str) -> str:
        """Send a draft, and return Graph's id of its answer."""
        path = f"{_draft(draft_id)}/send"
        return _name(self._call("POST", path, token, sender, b"", want=HTTPStatus.ACCEPTED, submits=True))

    def find(self, token: str, sender: Sender, key: str) -> tuple[FoundMail, ...]:
        """Return every message in the mailbox that carries this key, in whatever folder."""
        test = f"ep/id eq '{KEY_PROPERTY}' and ep/value eq '{key}'"
        wanted = quote(f"singleValueExtendedProperties/Any(ep: {test})", safe="")
        path = f"messages?$filter={wanted}&$select=id,isDraft&$top=50"
        return tuple(
            FoundMail(str(found["id"]), bool(found["isDraft"])) for found in self._list(path, token, sender)
        )

    def remove(self, token: str, sender: Sender, draft_id: str) -> None:
        """Remove a draft; one that is gone already is no error."""
        try:
            self._call("DELETE", _draft(draft_id), token, sender, want=HTTPStatus.NO_CONTENT)
        except TransientError as error:
            if error.code != "draft_lost":
                raise

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._connections.close()

    def _list(self, path: str, token: str, sender: Sender) -> list[dict[str, Any]]:
        """Return what a list holds; any of its pages but the last may be short or empty.

        https://learn.microsoft.com/graph/paging
        """
        found: list[dict[str, Any]] = []
        page = path
        for _ in range(_MOST_PAGES):
            document = _document(self._call("GET", page, token, sender, want=HTTPStatus.OK))
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
    ) -> Answer:
        """Make one call; `path` counts from the mailbox, unless it is an address that Graph gave us."""
        address = path if path.startswith(self._root) else f"{self._root}/{sender.mailbox}/{path}"
        headers = {
            "Authorization": f"Bearer {token}",
            "client-request-id": str(uuid.uuid4()),
            # A draft keeps its id when it becomes a sent mail.
            "Prefer": 'IdType="ImmutableId"',
        }
        if body is not None:
            headers |= _JSON if body else {"Content-Length": "0"}
        answer = self._ask(method, address, headers, body, submits=submits)
        if answer.status != want:
            raise graph_error(answer, sender, submits=submits)
        return answer

    def _ask(
        self, method: str, address: str, headers: dict[str, str], body: bytes | None, *, submits: bool
    ) -> Answer:
        try:
            answer = self._connections.ask(method, address, headers, body)
        except NotSentError as error:
            raise TransientError("graph_unavailable") from error
        except NoAnswerError as error:
            if submits:
                raise OutcomeUnknownError("outcome_unknown") from error
            raise TransientError("graph_unavailable") from error
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            # https://learn.microsoft.com/graph/best-practices-concept: come back over a new connection.
            self._connections.close(urlsplit(address).netloc)
        return answer


def _draft(draft_id: str) -> str:
    return f"messages/{quote(draft_id, safe='')}"


def _name(answer: Answer) -> str:
    """Return Graph's id of an answer, or else the one that we gave the request, which Graph repeats."""
    return answer.headers.get("request-id") or answer.headers.get("client-request-id") or ""


def _document(answer: Answer) -> dict[str, Any]:
    """Read what a success brought; an answer cut short is asked for again later."""
    try:
        found = json.loads(answer.body)
    except ValueError as error:
        raise TransientError("graph_unavailable", request_id=answer.headers.get("request-id")) from error
    return found if isinstance(found, dict) else {}


def _next_range(answer: Answer, otherwise: int) -> int:
    """Read where the next chunk begins: `"N"`, `"N-"` or `"N-M"`, under a name in any case."""
    named = {name.casefold(): value for name, value in _document(answer).items()}
    ranges = named.get("nextexpectedranges")
    found = _NEXT_RANGE.match(str(ranges[0])) if isinstance(ranges, list) and ranges else None
    return int(found[1]) if found else otherwise
