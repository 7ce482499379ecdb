"""Look up the sizes of a mail's files before any file is read.

The sizes decide the route by which the mail is sent, and whether it can be sent at all. So no file is
downloaded for a mail that is rejected because of its size.
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

#: The maximum size of a mail's text in UTF-8. A longer text fits neither in `sendMail` nor in a request that
#: creates a draft.
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
        """Read the whole file into memory, so call this for small files only.

        Raises:
            TransientError: `file_changed`.
        """
        if self.stored is None:
            return self.attachment.content_bytes or b""
        return files.read(self.stored)


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
        raise body_too_large_error(file.size, MAX_BODY_BYTES)
    try:
        return files.read(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        not_text = FieldError("body.blob", "the file is not text in UTF-8")
        raise InvalidInputError("invalid_message", fields=[not_text]) from error


def body_too_large_error(size: int, limit: int) -> RejectedError:
    """Return the error for a text over the limit.

    It has both sizes in bytes, because sizes rounded to megabytes could look equal.
    """
    return RejectedError("body_too_large", size=f"{size:,} bytes", limit=f"{limit:,} bytes")


def megabytes(size: int) -> str:
    """Format a size for a text that people read."""
    return f"{size / 1_000_000:.1f} MB"


def _sized(attachment: Attachment, files: AttachmentFiles) -> SizedFile:
    if attachment.blob is None:
        return SizedFile(attachment, len(attachment.content_bytes or b""))
    stored = files.find(attachment.blob)
    return SizedFile(attachment, stored.size, stored)
