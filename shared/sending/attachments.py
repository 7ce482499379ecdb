"""Which files a mail has and how large they are, before any of them is read.

The route is chosen by these sizes, so nothing is fetched for a mail that can't be sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.sending.request import Attachment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.ports import AttachmentFiles
    from shared.sending.request import Body


@dataclass(frozen=True, slots=True)
class SizedFile:
    """One file of the mail and its size in bytes."""

    attachment: Attachment
    size: int

    def content(self, files: AttachmentFiles) -> bytes:
        """Return the whole file; for small ones only.

        Raises:
            RejectedError: `attachment_not_found`.
        """
        if self.attachment.blob is None:
            return self.attachment.content_bytes or b""
        return files.read(self.attachment.blob)


def size_files(attachments: Iterable[Attachment], files: AttachmentFiles) -> tuple[SizedFile, ...]:
    """Look every file's size up.

    Raises:
        RejectedError: `attachment_not_found`.
    """
    return tuple(SizedFile(attachment, _size(attachment, files)) for attachment in attachments)


def read_body(body: Body, files: AttachmentFiles) -> str:
    """Return the text of the mail.

    Raises:
        RejectedError: `attachment_not_found`.
    """
    if body.blob is None:
        return body.content or ""
    return files.read(body.blob).decode("utf-8", "replace")


def _size(attachment: Attachment, files: AttachmentFiles) -> int:
    if attachment.blob is None:
        return len(attachment.content_bytes or b"")
    return files.size(attachment.blob)
