"""Prepare a mail: build its text, look up its files, choose its route."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError
from shared.mail.attachments import SizedFile, read_body, size_files
from shared.mail.message import MailRequest
from shared.mail.payload import add_properties, build_message, write_json
from shared.mail.warnings import MailWarning, find_warnings
from shared.sending.awaited_setting import OUTSIDE_FOLDER
from shared.sending.route import Route, choose_route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.sending.ports import SendingServices
    from shared.settings.sender import Sender

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

    def stamp(self) -> str:
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
    foreign = foreign_files(request, ports.allowed_tenants)
    if foreign:
        paths = ", ".join(field for field, _ in foreign[:_MAX_NAMED])
        raise ConfigurationError(OUTSIDE_FOLDER, folder=f"{request.tenant_id}/", fields=paths)
    files = size_files(request.attachments, ports.files)
    body = read_body(request.body, ports.files)
    message = write_json(build_message(request, body, sender.from_field))
    route = choose_route(len(message), files, sender, ports.message_limit_mb)
    return PreparedMail(request, message, files, route, find_warnings(request, body))


def foreign_files(request: MailRequest, allowed_tenants: frozenset[str]) -> list[tuple[str, str]]:
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
