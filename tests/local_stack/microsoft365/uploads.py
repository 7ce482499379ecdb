"""Upload sessions: large files on their way to a draft, chunk by chunk."""

import re
import secrets
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from .behaviour import Behaviour
from .clock import Clock
from .directory import MEGABYTE, User
from .gate import Caller
from .mail import Attachment, Content, GraphError, Message, new_id
from .mailboxes import Mailboxes
from .message_json import unreadable

LARGEST = 150 * MEGABYTE
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
#: The URL's path on the upload host.
PATH = "/api/gv1.0/users('{user}')/messages('{message}')/AttachmentSessions('{session}')"


@dataclass
class Session:
    """A file on its way to a draft.

    Attributes:
        ticket: what makes the URL its own key.
        busy: a chunk is being taken.
        known_from: before that, a chunk gets 404.
    """

    session_id: str
    ticket: str
    message: Message
    mailbox: User
    client_id: str
    name: str
    content_type: str
    size: int
    inline: bool
    content_id: str | None
    expires: datetime
    known_from: datetime
    content: Content = field(default_factory=Content)
    busy: bool = False


class Uploads:
    """The open sessions."""

    def __init__(self, mailboxes: Mailboxes, clock: Clock, behaviour: Behaviour) -> None:
        self._mailboxes = mailboxes
        self._clock = clock
        self._behaviour = behaviour
        self._lock = threading.RLock()
        self._sessions: dict[str, Session] = {}
        self.origin = ""

    def open(self, document: dict[str, Any], message: Message, mailbox: User, client_id: str) -> Session:
        """Begin a session.

        Raises:
            GraphError: 400 for a wrong body, a file that is too small, or one over 150 MB.
        """
        lower = {name.lower(): value for name, value in document.items()}
        item = lower.get("attachmentitem")
        if not isinstance(item, dict) or item.get("attachmentType") != "file":
            raise unreadable("The parameter 'AttachmentItem' is missing or no file.")
        size = item.get("size")
        if not isinstance(item.get("name"), str) or not isinstance(size, int):
            raise GraphError(
                400, "ErrorRequiredPropertyMissing", "Required property 'name' or 'size' is missing."
            )
        if size < self._behaviour.smallest_session:
            text = "The attachment size should not be less than the minimum size."
            raise GraphError(400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize", text)
        if size > LARGEST:
            raise GraphError(400, "ErrorAttachmentSizeLimitExceeded", "The attachment is over the limit.")
        session = Session(
            session_id=secrets.token_urlsafe(24),
            ticket=secrets.token_urlsafe(48),
            message=message,
            mailbox=mailbox,
            client_id=client_id,
            name=item["name"],
            content_type=str(item.get("contentType") or "application/octet-stream"),
            size=size,
            inline=bool(item.get("isInline")),
            content_id=item.get("contentId"),
            expires=self._clock.now() + self._behaviour.session_lifetime,
            known_from=self._clock.now() + timedelta(seconds=self._behaviour.replica_lag),
        )
        with self._lock:
            self._sessions[session.session_id] = session
        return session

    def describe(self, session: Session) -> dict[str, Any]:
        """Write the response to a session's creation."""
        path = PATH.format(
            user=session.mailbox.object_id, message=session.message.plain_id, session=session.session_id
        )
        ranges = "NextExpectedRanges" if self._behaviour.pascal_case else "nextExpectedRanges"
        return {
            "uploadUrl": f"{self.origin}{path}?authtoken={session.ticket}",
            "expirationDateTime": _stamp(session.expires),
            ranges: ["0-"],
        }

    def find(self, session_id: str, ticket: str) -> Session:
        """Find a session by its URL.

        Raises:
            GraphError: 404 when it has ended or is not known here yet, 401 when the URL is not whole.
        """
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None or not session.known_from <= self._clock.now() < session.expires:
                raise GraphError(404, "ErrorItemNotFound", "The upload session was not found.")
            if not secrets.compare_digest(session.ticket, ticket):
                raise GraphError(401, "InvalidAuthenticationToken", "The upload URL is not valid.")
            return session

    def mailbox_of(self, session_id: str) -> Caller:
        """Name the app and mailbox of a session, for the limit of four."""
        with self._lock:
            session = self._sessions.get(session_id)
            return Caller(session.client_id, session.mailbox.address) if session else Caller()

    def start_chunk(self, session: Session, content_range: str, length: int) -> None:
        """Check a chunk before it is read.

        Raises:
            GraphError: 400 for a malformed range, 413 for too long a chunk, the range status for one out
                of order, 412 when another session writes to the same draft.
        """
        found = _RANGE.fullmatch(content_range)
        if found is None:
            raise GraphError(400, "BadRequest", "The Content-Range header is missing or malformed.")
        first, last, total = (int(number) for number in found.groups())
        if last < first or last - first + 1 != length or total != session.size or last >= total:
            raise GraphError(400, "BadRequest", "Content-Range, Content-Length and the file's size disagree.")
        if length > self._behaviour.chunk_limit:
            raise GraphError(413, "BadRequest", "The maximum chunk length supported is 4MB.")
        with self._lock:
            overtaken = session.content.size > 0 and session.message.fed_by != session.session_id
            others = [s for s in self._sessions.values() if s.message is session.message and s.busy]
            if others or overtaken:
                text = "The operation could not be performed because the change key is not current."
                raise GraphError(412, "ErrorIrresolvableConflict", text)
            if first != session.content.size:
                text = f"Expected a range that starts at {session.content.size}."
                raise GraphError(self._behaviour.range_status, "InvalidContentRange", text)
            self._mailboxes.check_size(session.message, session.mailbox, last + 1)
            session.busy = True
            session.message.fed_by = session.session_id

    def store_chunk(self, session: Session, data: bytes | None) -> Attachment | None:
        """Store a chunk; return the attachment once the file is complete.

        Raises:
            GraphError: `ErrorMessageSizeExceeded`.
        """
        with self._lock:
            session.busy = False
            if data is None:
                return None
            session.content.append(data)
            if session.content.size < session.size:
                return None
            attachment = Attachment(
                new_id(),
                session.name,
                session.content_type,
                session.content,
                inline=session.inline,
                content_id=session.content_id,
            )
            self._mailboxes.attach(session.message, attachment, session.mailbox)
            del self._sessions[session.session_id]
            return attachment

    def progress(self, session: Session) -> dict[str, Any]:
        """Return the response to a middle chunk, in its own spelling."""
        done, last = session.content.size, session.size - 1
        spelt = {"N": f"{done}", "N-": f"{done}-", "N-M": f"{done}-{last}"}[self._behaviour.next_range]
        ranges = "NextExpectedRanges" if self._behaviour.pascal_case else "nextExpectedRanges"
        user, message = quote(session.mailbox.object_id, safe=""), quote(session.message.plain_id, safe="")
        place = f"Users('{user}')/Messages('{message}')/AttachmentSessions/$entity"
        context = {"@odata.context": f"{self.origin}/api/gv1.0/$metadata#{place}"}
        return context | {"ExpirationDateTime": _stamp(session.expires), ranges: [spelt]}

    def cancel(self, session: Session) -> None:
        """End a session without its file."""
        with self._lock:
            self._sessions.pop(session.session_id, None)
            session.content.close()


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"
