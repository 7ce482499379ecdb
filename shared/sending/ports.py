"""What journey 2 alone needs from the outside; the promises of `shared/ports.py` hold here too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from shared.sending.schedule import Schedule
    from shared.settings.sender import Sender


@dataclass(frozen=True, slots=True)
class FoundMail:
    """A message in the sender's mailbox; a draft was not sent, or is still on its way."""

    mail_id: str
    is_draft: bool


class MailTransport(Protocol):
    """Hands mail to Microsoft 365.

    Every method may raise RejectedError (Graph will never do it) and ConsentRequiredError (Graph refuses
    the token); a draft that is not there any more is a TransientError `draft_lost`.
    """

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        """Send one mail in one request, and return Graph's id of its answer.

        Raises:
            OutcomeUnknownError: it went out, and the answer did not come.
        """

    def create_draft(self, token: str, sender: Sender, message: bytes) -> str:
        """Keep a message in Drafts and return its id, which it keeps when it is sent."""

    def attach(self, token: str, sender: Sender, draft_id: str, file: bytes) -> None:
        """Put a small file on a draft."""

    def count_attachments(self, token: str, sender: Sender, draft_id: str) -> int:
        """Say how many files are on a draft, those inside its text included."""

    def open_upload(self, token: str, sender: Sender, draft_id: str, item: bytes) -> str:
        """Begin to put a large file on a draft, and return the URL that takes its chunks."""

    def put_chunk(self, sender: Sender, url: str, chunk: bytes, first: int, total: int) -> int | None:
        """Upload the bytes from `first` on; return where the next chunk begins, None after the last.

        Raises:
            TransientError: `upload_interrupted` when the session is over or wants other bytes.
        """

    def send_draft(self, token: str, sender: Sender, draft_id: str) -> str:
        """Send a draft, and return Graph's id of its answer.

        Raises:
            OutcomeUnknownError: it went out, and the answer did not come.
        """

    def find(self, token: str, sender: Sender, key: str) -> tuple[FoundMail, ...]:
        """Return every message in the mailbox that carries this key."""

    def find_draft(self, token: str, sender: Sender, draft_id: str) -> tuple[FoundMail, ...]:
        """Return the message that was created as this draft, sent or not; nothing where it is not found."""

    def remove(self, token: str, sender: Sender, draft_id: str) -> None:
        """Remove a draft; one that is gone already is no error."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it was when it was looked up; `size` is in bytes, and a replaced file has another version."""

    path: str
    size: int
    version: str


class AttachmentFiles(Protocol):
    """The files that schedulers put into the container `attachments`."""

    def find(self, path: str) -> StoredFile:
        """Look a file up.

        Raises:
            RejectedError: `attachment_not_found`.
        """

    def read(self, file: StoredFile, first: int = 0, length: int | None = None) -> bytes:
        """Return a part of a file, or all of a small one.

        Raises:
            TransientError: `file_changed` since it was looked up.
        """

    def put(self, path: str, content: BinaryIO) -> None:
        """Put a file into the container, piece by piece; one that is there already is replaced."""


class ScheduleStore(Protocol):
    """Keeps a schedule for each mailbox."""

    def load(self, key: str) -> tuple[Schedule, datetime | None]:
        """Return a mailbox's schedule, an empty one where there is none, and what storage's clock says."""

    def save(self, key: str, schedule: Schedule) -> Schedule | None:
        """Write a schedule if it is still the one that was read; None where it is not."""
