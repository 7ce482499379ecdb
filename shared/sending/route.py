"""How a mail travels: chosen by its sizes and by what was consented to, before anything is sent. Pure.

    size                                         with Mail.Send    with Mail.ReadWrite too
    request below 4 MB, base64 included          one sendMail      one sendMail
    more, up to the mailbox's message limit      refused           draft: a POST for each file below 3 MB,
                                                                   an upload session for each larger one
    more than the mailbox's limit, or a file     refused           refused
    over 150 MB

https://learn.microsoft.com/graph/outlook-large-attachments
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from shared.errors import RejectedError
from shared.sending.attachments import megabytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.sending.attachments import SizedFile
    from shared.settings.sender import Sender

#: Below Graph's wall whether it counts 4 000 000 or 4 194 304 bytes, with room for the rest of the JSON.
MAX_REQUEST_BYTES = 3_900_000
#: An upload session is refused for less; in one POST more would not fit.
LARGE_FILE_BYTES = 3_000_000
LARGEST_FILE_BYTES = 150 * 1024 * 1024
#: Exchange counts its limits in these.
_MEGABYTE = 1024 * 1024


class Route(Enum):
    """The ways a mail can travel."""

    ONE_REQUEST = auto()
    DRAFT = auto()


def encoded_size(size: int) -> int:
    """Return what base64 makes of a file."""
    return (size + 2) // 3 * 4


def choose_route(message_bytes: int, files: Sequence[SizedFile], sender: Sender, limit_mb: int) -> Route:
    """Choose how the mail travels; `limit_mb` is the most that the mailbox may send, encoded.

    Raises:
        RejectedError: `body_too_large`, `large_file_attachments_off`, `file_too_large`,
            `message_too_large`.
    """
    encoded = message_bytes + sum(encoded_size(file.size) for file in files)
    if encoded <= MAX_REQUEST_BYTES:
        return Route.ONE_REQUEST
    if message_bytes > MAX_REQUEST_BYTES:
        raise RejectedError("body_too_large", size=megabytes(message_bytes))
    if not sender.may_draft:
        size = message_bytes + sum(file.size for file in files)
        raise RejectedError("large_file_attachments_off", size=megabytes(size))
    for file in files:
        if file.size > LARGEST_FILE_BYTES:
            raise RejectedError("file_too_large", blob=file.attachment.blob, size=megabytes(file.size))
    if encoded > limit_mb * _MEGABYTE:
        what = f"The mail, {megabytes(encoded)} with its files encoded,"
        raise RejectedError("message_too_large", what=what, address=sender.address)
    return Route.DRAFT
