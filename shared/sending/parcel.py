"""A mail that is ready to travel: its text built, its files looked up, its route chosen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import InvalidInputError
from shared.problems import FieldError
from shared.sending.attachments import SizedFile, read_body, size_files
from shared.sending.payload import build_message, write_json
from shared.sending.request import MailRequest
from shared.sending.route import Route, choose_route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.sending.dependencies import Sending
    from shared.settings.sender import Sender


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is handed to Microsoft 365; `message` is its JSON without the files."""

    request: MailRequest
    message: bytes
    files: tuple[SizedFile, ...]
    route: Route

    def stamp(self) -> str:
        """Tell this content from another: a text or a file that was replaced makes a new one."""
        text = hashlib.sha256(self.message).hexdigest()
        versions = (file.stored.version if file.stored else "" for file in self.files)
        parts = [self.request.fingerprint(), text, *versions]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def prepare(request: MailRequest, sender: Sender, ports: Sending) -> Parcel:
    """Look up what the mail needs and choose its route; no file is read yet.

    Raises:
        InvalidInputError: `invalid_message` for a file that belongs to another tenant or is no text.
        RejectedError: a file is missing, or the mail is too large.
    """
    check_own_files(request, ports)
    files = size_files(request.attachments, ports.files)
    body = read_body(request.body, ports.files)
    message = write_json(build_message(request, body, sender.from_field))
    route = choose_route(len(message), files, sender, ports.message_limit_mb)
    return Parcel(request, message, files, route)


def check_own_files(request: MailRequest, ports: Sending) -> None:
    """Keep tenants that share an installation from reading each other's files.

    Raises:
        InvalidInputError: `invalid_message`, with every path outside the tenant's folder.
    """
    if len(ports.allowed_tenants) == 1:
        return
    folder = f"{request.tenant_id}/"
    foreign = [
        FieldError(field, f"must begin with {folder} because this installation serves several tenants")
        for field, path in _paths(request)
        if not path.startswith(folder)
    ]
    if foreign:
        raise InvalidInputError("invalid_message", fields=foreign)


def _paths(request: MailRequest) -> Iterator[tuple[str, str]]:
    if request.body.blob is not None:
        yield "body.blob", request.body.blob
    for place, attachment in enumerate(request.attachments):
        if attachment.blob is not None:
            yield f"attachments.{place}.blob", attachment.blob
