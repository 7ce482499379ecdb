"""Declare what only sending needs from outside.

The guarantees of `shared/ports.py` apply here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from shared.sending.schedule import Schedule
    from shared.settings.sender import Sender
    from shared.system import World


@dataclass(frozen=True, slots=True)
class FoundMail:
    """A message in the sender's mailbox.

    A draft was not sent, or is still in the process of being sent.
    """

    mail_id: str
    is_draft: bool


class MailTransport(Protocol):
    """Sends mail to Microsoft 365.

    Every method may raise RejectedError (Graph will never accept it) and ConsentRequiredError (Graph refuses
    the token); a draft that does not exist any more is a TransientError `draft_lost`.
    """

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        """Send a mail in one request, and return Graph's request id.

        Raises:
            OutcomeUnknownError: it was sent, and no response arrived.
        """

    def create_draft(self, token: str, sender: Sender, message: bytes) -> str:
        """Create a draft and return its id, which it keeps when sent."""

    def attach(self, token: str, sender: Sender, draft_id: str, file: bytes) -> None:
        """Attach a small file to a draft."""

    def count_attachments(self, token: str, sender: Sender, draft_id: str) -> int:
        """Count the files of a draft, including inline ones."""

    def open_upload(self, token: str, sender: Sender, draft_id: str, item: bytes) -> str:
        """Open an upload session for a large file; return the chunks' URL."""

    def put_chunk(self, sender: Sender, url: str, chunk: bytes, first: int, total: int) -> int | None:
        """Upload the bytes from `first`; return where the next chunk begins.

        None after the last chunk.

        Raises:
            TransientError: `upload_interrupted` if the session is over or expects other bytes.
        """

    def send_draft(self, token: str, sender: Sender, draft_id: str) -> str:
        """Send a draft, and return Graph's request id.

        Raises:
            OutcomeUnknownError: it was sent, and no response arrived.
        """

    def find(self, token: str, sender: Sender, key: str) -> tuple[FoundMail, ...]:
        """Return every message in the mailbox that has this key."""

    def find_draft(self, token: str, sender: Sender, draft_id: str) -> tuple[FoundMail, ...]:
        """Return the message created as this draft, sent or not.

        The result is empty where it is not found.
        """

    def remove(self, token: str, sender: Sender, draft_id: str) -> None:
        """Remove a draft; one that does not exist is no error."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file at the time of its look-up.

    `size` is in bytes, and a replaced file has another version.
    """

    path: str
    size: int
    version: str


class AttachmentFiles(Protocol):
    """The files that schedulers upload to the container `attachments`."""

    def find(self, path: str) -> StoredFile:
        """Look up a file.

        Raises:
            RejectedError: `attachment_not_found`.
        """

    def read(self, file: StoredFile, first: int = 0, length: int | None = None) -> bytes:
        """Return a part of a file, or all of a small one.

        Raises:
            TransientError: `file_changed` since it was looked up.
        """

    def put(self, path: str, content: BinaryIO) -> None:
        """Upload a file in pieces; an existing one is replaced."""


class ScheduleBusyError(Exception):
    """Too many processes change a row at this moment."""


class ScheduleStore(Protocol):
    """Stores a schedule for each mailbox."""

    def load(self, key: str) -> tuple[Schedule, datetime | None]:
        """Return a mailbox's schedule, empty where none is stored, and the time.

        The time is by storage's clock.
        """

    def save(self, key: str, schedule: Schedule) -> Schedule | None:
        """Write a schedule if it is unchanged since it was read, else None."""


class Throttling(Protocol):
    """What is needed from the outside; reading it may raise ConfigurationError."""

    @property
    def world(self) -> World:
        """The clock."""

    @property
    def schedules(self) -> ScheduleStore:
        """When the mails of each mailbox may be sent."""

    @property
    def messages_per_minute(self) -> int:
        """The operator's limit; 0: none."""

    @property
    def installation(self) -> str | None:
        """The client id: Graph counts for each app."""
