"""Prepare a mail: build its text, look up its files, choose its route."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from shared.config import MAX_MESSAGE_LIMIT_MB
from shared.errors import ConfigurationError, RejectedError
from shared.mail.attachments import SizedFile, body_too_large_error, megabytes, read_body, size_files
from shared.mail.message import MailRequest
from shared.mail.payload import add_properties, build_message, write_json
from shared.mail.warnings import MailWarning, find_warnings
from shared.sending.awaited_setting import OUTSIDE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.sending.ports import SendingServices
    from shared.settings.sender import Sender


#: The most bytes of text and encoded files in one request. Graph's limit is 4 MB, which may mean 4,000,000 or
#: 4,194,304 bytes; below either, this leaves room for the rest of the JSON.
MAX_REQUEST_BYTES = 3_900_000
#: From this size a file needs an upload session. Graph refuses a session for a smaller file, and one POST for
#: a larger.
LARGE_FILE_BYTES = 3_000_000
#: Graph accepts no larger file in an upload session.
LARGEST_FILE_BYTES = 150 * 1024 * 1024
#: The highest limit that an admin of Exchange can set, with Set-Mailbox:
#: https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits
MAX_EXCHANGE_MB = 150
#: Exchange's limits count in this unit.
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
    # Parameters of the problem, if the operator's setting is smaller than the mail.
    more: dict[str, Any] = {"needed": needed} if needed > limit_mb else {}
    if not sender.may_draft:
        size = message_bytes + sum(file.size for file in files)
        raise RejectedError("large_file_attachments_off", size=megabytes(size), **more)
    if more:
        if needed > MAX_EXCHANGE_MB:
            more["over_exchange"] = MAX_EXCHANGE_MB
        raise ConfigurationError(
            "message_too_large", what=_name_with_size(encoded), address=sender.mailbox_address, **more
        )
    return Route.DRAFT


def check_sizes(message_bytes: int, files: Sequence[SizedFile]) -> None:
    """Refuse a mail that is too large with any permission and setting.

    Raises:
        RejectedError: `body_too_large`, `file_too_large`, `message_over_maximum`.
    """
    if message_bytes > MAX_REQUEST_BYTES:
        raise body_too_large_error(message_bytes, MAX_REQUEST_BYTES)
    for file in files:
        if file.size > LARGEST_FILE_BYTES:
            raise RejectedError("file_too_large", blob=file.attachment.blob, size=megabytes(file.size))
    encoded = message_bytes + sum(encoded_size(file.size) for file in files)
    needed = _exchange_megabytes(encoded)
    if needed > MAX_MESSAGE_LIMIT_MB:
        what = _name_with_size(encoded)
        raise RejectedError("message_over_maximum", what=what, needed=needed, maximum=MAX_MESSAGE_LIMIT_MB)


def _exchange_megabytes(size: int) -> int:
    """Return the size in Exchange's megabytes, rounded up."""
    return math.ceil(size / _MEGABYTE)


def _name_with_size(encoded: int) -> str:
    """Write the start of a sentence about the mail, with its size."""
    return f"The mail, {encoded / _MEGABYTE:.1f} MB with its files encoded,"


#: How many of the fields with a path outside the folder a problem names.
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class PreparedMail:
    """What is sent to Microsoft 365.

    Attributes:
        message: the JSON of the mail, without files and extended properties.
        warnings: what the sender should correct, although the mail is sent.
    """

    request: MailRequest
    message: bytes
    files: tuple[SizedFile, ...]
    route: Route
    warnings: tuple[MailWarning, ...] = ()

    def message_with(self, key: str | None) -> bytes:
        """Return the message with or without the app's key."""
        return add_properties(self.message, self.request, key)

    def content_hash(self) -> str:
        """Return a hash that differs if the text or a file was replaced."""
        text = hashlib.sha256(self.message).hexdigest()
        versions = (file.stored.version if file.stored else "" for file in self.files)
        parts = [self.request.fingerprint(), text, *versions]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def prepare(request: MailRequest, sender: Sender, ports: SendingServices) -> PreparedMail:
    """Look up what the mail needs and choose its route; no file is read.

    Raises:
        InvalidInputError: `invalid_message` for a file that is no text.
        RejectedError: a file is missing, or the mail is too large.
        ConfigurationError: `files_outside_folder`, `message_too_large`: the settings do not allow it.
    """
    outside = files_outside_folder(request, ports.allowed_tenants)
    if outside:
        paths = ", ".join(field for field, _ in outside[:_MAX_NAMED])
        raise ConfigurationError(OUTSIDE_FOLDER, folder=f"{request.tenant_id}/", fields=paths)
    files = size_files(request.attachments, ports.files)
    body = read_body(request.body, ports.files)
    message = write_json(build_message(request, body, sender.from_field))
    route = choose_route(len(message), files, sender, ports.message_limit_mb)
    return PreparedMail(request, message, files, route, find_warnings(request, body))


def files_outside_folder(request: MailRequest, allowed_tenants: frozenset[str]) -> list[tuple[str, str]]:
    """Return the fields with a path outside the tenant's folder, and the path.

    Files must be in the tenant's folder only if several tenants are served. This keeps tenants that share an
    installation from sending each other's files by mistake. It does not protect against an attack, because
    anybody who may write to the queue may use the id of any served tenant.
    """
    if len(allowed_tenants) <= 1:
        return []
    folder = f"{request.tenant_id}/"
    return [(field, path) for field, path in _paths(request) if not path.startswith(folder)]


def _paths(request: MailRequest) -> Iterator[tuple[str, str]]:
    if request.body.blob is not None:
        yield "body.blob", request.body.blob
    for place, attachment in enumerate(request.attachments):
        if attachment.blob is not None:
            yield f"attachments.{place}.blob", attachment.blob
