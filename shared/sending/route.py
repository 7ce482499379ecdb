"""Choose how to send a mail, by its sizes and permissions. Pure.

    size                                         with Mail.Send    with Mail.ReadWrite too
    request below 4 MB, base64 included          one sendMail      one sendMail
    more, up to the mailbox's message limit      refused           draft: a POST for each file below 3 MB,
                                                                   an upload session for each larger one
    more than the mailbox's limit                refused           waits for the operator
    more than any mailbox's, or a file           refused           refused
    over 150 MB

https://learn.microsoft.com/graph/outlook-large-attachments
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from shared.config import MAX_MESSAGE_LIMIT_MB
from shared.errors import ConfigurationError, RejectedError
from shared.mail.attachments import megabytes, text_too_long

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.mail.attachments import SizedFile
    from shared.settings.sender import Sender

#: Below Graph's limit whether that is 4 000 000 or 4 194 304 bytes, with room for the rest of the JSON.
MAX_REQUEST_BYTES = 3_900_000
#: An upload session is refused for less; one POST cannot carry more.
LARGE_FILE_BYTES = 3_000_000
LARGEST_FILE_BYTES = 150 * 1024 * 1024
#: The most that Set-Mailbox accepts:
#: https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits
MAX_EXCHANGE_MB = 150
#: The unit of Exchange's limits.
_MEGABYTE = 1024 * 1024


class Route(Enum):
    """The ways to send a mail."""

    ONE_REQUEST = auto()
    DRAFT = auto()


def encoded_size(size: int) -> int:
    """Return the size of a file in base64."""
    return (size + 2) // 3 * 4


def choose_route(message_bytes: int, files: Sequence[SizedFile], sender: Sender, limit_mb: int) -> Route:
    """Choose the route; `limit_mb` is the mailbox's encoded size limit.

    Raises:
        RejectedError: `body_too_large`, `large_file_attachments_off`, `file_too_large`,
            `message_over_maximum`.
        ConfigurationError: `message_too_large`: the operator's setting is smaller.
    """
    encoded = message_bytes + sum(encoded_size(file.size) for file in files)
    if encoded <= MAX_REQUEST_BYTES:
        return Route.ONE_REQUEST
    check_sizes(message_bytes, files)
    needed = _exchange_megabytes(encoded)
    more: dict[str, Any] = {"needed": needed} if needed > limit_mb else {}
    if not sender.may_draft:
        size = message_bytes + sum(file.size for file in files)
        raise RejectedError("large_file_attachments_off", size=megabytes(size), **more)
    if more:
        if needed > MAX_EXCHANGE_MB:
            more["over_exchange"] = MAX_EXCHANGE_MB
        raise ConfigurationError(
            "message_too_large", what=_outline(encoded), address=sender.mailbox_address, **more
        )
    return Route.DRAFT


def check_sizes(message_bytes: int, files: Sequence[SizedFile]) -> None:
    """Refuse a mail that no permission or setting can make sendable.

    Raises:
        RejectedError: `body_too_large`, `file_too_large`, `message_over_maximum`.
    """
    if message_bytes > MAX_REQUEST_BYTES:
        raise text_too_long(message_bytes, MAX_REQUEST_BYTES)
    for file in files:
        if file.size > LARGEST_FILE_BYTES:
            raise RejectedError("file_too_large", blob=file.attachment.blob, size=megabytes(file.size))
    encoded = message_bytes + sum(encoded_size(file.size) for file in files)
    needed = _exchange_megabytes(encoded)
    if needed > MAX_MESSAGE_LIMIT_MB:
        what, most = _outline(encoded), MAX_MESSAGE_LIMIT_MB
        raise RejectedError("message_over_maximum", what=what, needed=needed, maximum=most)


def _exchange_megabytes(size: int) -> int:
    return -(-size // _MEGABYTE)


def _outline(encoded: int) -> str:
    """Name the mail with its size, in megabytes as Exchange counts them."""
    return f"The mail, {encoded / _MEGABYTE:.1f} MB with its files encoded,"
