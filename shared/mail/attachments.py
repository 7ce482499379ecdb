"""Look up a mail's files and their sizes before any is read.

The route is chosen by these sizes, so nothing is fetched for a mail that can't be sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import InvalidInputError, RejectedError
from shared.mail.message import Attachment
from shared.mail.ports import StoredFile
from shared.problems import FieldError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.mail.message import Body
    from shared.mail.ports import AttachmentFiles

#: No longer text fits in a request of Graph, on any route.
MAX_BODY_BYTES = 3_800_000


@dataclass(frozen=True, slots=True)
class SizedFile:
    """A file of the mail and its size in bytes.

    `stored` is None for a file inside the message.
    """

    attachment: Attachment
    size: int
    stored: StoredFile | None = None

    def content(self, files: AttachmentFiles) -> bytes:
        """Return the whole file; for small ones only.

        Raises:
            TransientError: `file_changed`.
        """
        return (self.attachment.content_bytes or b"") if self.stored is None else files.read(self.stored)


def size_files(attachments: Iterable[Attachment], files: AttachmentFiles) -> tuple[SizedFile, ...]:
    """Look up the size of every file.

    Raises:
        RejectedError: `attachment_not_found`.
    """
    return tuple(_sized(attachment, files) for attachment in attachments)


def read_body(body: Body, files: AttachmentFiles) -> str:
    """Return the mail's body.

    Raises:
        RejectedError: `attachment_not_found`, `body_too_large`.
        TransientError: `file_changed`.
        InvalidInputError: `invalid_message` if the file is no text.
    """
    if body.blob is None:
        return body.content or ""
    file = files.find(body.blob)
    if file.size > MAX_BODY_BYTES:
        raise text_too_long(file.size, MAX_BODY_BYTES)
    try:
        return files.read(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        no_text = FieldError("body.blob", "the file is not text in UTF-8")
        raise InvalidInputError("invalid_message", fields=[no_text]) from error


def text_too_long(size: int, limit: int) -> RejectedError:
    """Return the error with both sizes in bytes.

    Rounded, they could be equal.
    """
    return RejectedError("body_too_large", size=f"{size:,} bytes", limit=f"{limit:,} bytes")


def megabytes(size: int) -> str:
    """Format a size for people."""
    return f"{size / 1_000_000:.1f} MB"


def _sized(attachment: Attachment, files: AttachmentFiles) -> SizedFile:
    if attachment.blob is None:
        return SizedFile(attachment, len(attachment.content_bytes or b""))
    stored = files.find(attachment.blob)
    return SizedFile(attachment, stored.size, stored)
