"""The content of a mailbox: messages and their files."""

import base64
import hashlib
import secrets
import tempfile
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_SPOOLED_ABOVE = 8 * 1024 * 1024
_PIECE = 1024 * 1024


class GraphError(Exception):
    """A refusal of Graph or Exchange."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Content:
    """The bytes of a file, in memory while small, on disk from 8 MB on."""

    def __init__(self, data: bytes = b"") -> None:
        self._lock = threading.Lock()
        self._file = tempfile.SpooledTemporaryFile(max_size=_SPOOLED_ABOVE)  # noqa: SIM115 (lives with the mail)
        weakref.finalize(self, self._file.close)
        self._hash = hashlib.sha256()
        self.size = 0
        if data:
            self.append(data)

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        with self._lock:
            self._file.seek(0, 2)
            self._file.write(data)
            self._hash.update(data)
            self.size += len(data)

    def chunks(self) -> Iterator[bytes]:
        """Read everything, a megabyte at a time."""
        position = 0
        while True:
            with self._lock:
                self._file.seek(position)
                piece = self._file.read(_PIECE)
            if not piece:
                return
            position += len(piece)
            yield piece

    def read(self) -> bytes:
        """Read everything at once."""
        return b"".join(self.chunks())

    @property
    def sha256(self) -> str:
        """The digest in hexadecimal."""
        with self._lock:
            return self._hash.hexdigest()

    @property
    def on_disk(self) -> bool:
        """Whether the bytes have left memory."""
        with self._lock:
            return self._file.name is not None

    def close(self) -> None:
        """Give the memory or the file back."""
        with self._lock:
            self._file.close()


@dataclass(frozen=True)
class Attachment:
    """A file on a message."""

    attachment_id: str
    name: str
    content_type: str
    content: Content
    inline: bool = False
    content_id: str | None = None

    @property
    def size(self) -> int:
        """Bytes of the file itself."""
        return self.content.size

    def read(self) -> bytes:
        """Return the file."""
        return self.content.read()

    @property
    def sha256(self) -> str:
        """The file's digest in hexadecimal."""
        return self.content.sha256


@dataclass(frozen=True)
class Address:
    """An e-mail address and the name shown for it."""

    address: str
    name: str = ""


def new_id(kind: str = "AAMkAD") -> str:
    """Return an Exchange-like id: long, case-sensitive, ending in `=`."""
    return f"{kind}{base64.urlsafe_b64encode(secrets.token_bytes(60)).decode()}AAA="


@dataclass
class Message:
    """A message in a mailbox.

    Attributes:
        fields: the properties as Graph's JSON has them, without attachments and extended properties.
        plain_id: changes with every move.
        immutable_id: does not.
        arrives: when its copy is in Sent Items; None while it has not been sent.
        keeps_copy: whether it goes to Sent Items once transport has it; a draft always does.
        known_from: before that, a call that names it gets 404.
        fed_by: the upload session that last wrote to it.
        mime: the bytes it was made of, when it came as MIME.
    """

    mailbox_id: str
    fields: dict[str, Any]
    attachments: list[Attachment]
    extended: list[dict[str, str]]
    created: datetime
    folder: str = "drafts"
    draft: bool = True
    plain_id: str = field(default_factory=new_id)
    immutable_id: str = field(default_factory=lambda: new_id("AAkALgAAAAAAHYQDEapm"))
    change_key: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    conversation_id: str = field(default_factory=lambda: new_id("AAQkAD"))
    arrives: datetime | None = None
    keeps_copy: bool = True
    known_from: datetime | None = None
    fed_by: str = ""
    mime: bytes | None = None

    def encoded_size(self, more: int = 0) -> int:
        """Return the size that Exchange counts: text, and files in base64.

        `more` is further raw bytes.
        """
        sizes = [attachment.size for attachment in self.attachments] + [more]
        text = str(self.fields.get("body", {}).get("content", ""))
        return len(text.encode()) + sum((size + 2) // 3 * 4 for size in sizes)

    def move(self, folder: str) -> None:
        """Move it to another folder, which changes its plain id."""
        self.folder = folder
        self.plain_id = new_id()

    def mark_changed(self) -> None:
        """Record a change."""
        self.change_key = secrets.token_urlsafe(12)
