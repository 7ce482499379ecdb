"""Prepare a mail: build its text, look up its files, choose its route."""

from __future__ import annotations

import hashlib
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
            "message_too_large", what=_name_with_size(encoded), address=sender.mailbox_address, **more
        )
    return Route.DRAFT


def check_sizes(message_bytes: int, files: Sequence[SizedFile]) -> None:
    """Refuse a mail that no permission or setting can make sendable.

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
        what, most = _name_with_size(encoded), MAX_MESSAGE_LIMIT_MB
        raise RejectedError("message_over_maximum", what=what, needed=needed, maximum=most)


def _exchange_megabytes(size: int) -> int:
    return -(-size // _MEGABYTE)


def _name_with_size(encoded: int) -> str:
    """Name the mail with its size, in megabytes as Exchange counts them."""
    return f"The mail, {encoded / _MEGABYTE:.1f} MB with its files encoded,"


#: How many of the paths outside the folder are named.
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class PreparedMail:
    """What is sent to Microsoft 365.

    Attributes:
        message: its JSON, without files and extended properties.
        warnings: what its sender should correct; it is sent anyway.
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
        """Return a hash of the content; a replaced text or file changes it."""
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
    foreign = files_outside_folder(request, ports.allowed_tenants)
    if foreign:
        paths = ", ".join(field for field, _ in foreign[:_MAX_NAMED])
        raise ConfigurationError(OUTSIDE_FOLDER, folder=f"{request.tenant_id}/", fields=paths)
    files = size_files(request.attachments, ports.files)
    body = read_body(request.body, ports.files)
    message = write_json(build_message(request, body, sender.from_field))
    route = choose_route(len(message), files, sender, ports.message_limit_mb)
    return PreparedMail(request, message, files, route, find_warnings(request, body))


def files_outside_folder(request: MailRequest, allowed_tenants: frozenset[str]) -> list[tuple[str, str]]:
    """Return the fields with a path outside the tenant's folder.

    It applies where several tenants are served.

    This keeps tenants that share an installation from sending each other's files by mistake. It is no
    protection against an attack: anybody who may write to the queue may use any served tenant's id.
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
