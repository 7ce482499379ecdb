"""Queue a mail by hand or from a Python scheduler.

    python -m shared.enqueue mail.json

`mail.json` is a message of the queue. An attachment or a body can name a file on this machine by `file` in
place of `blob`. The file is uploaded to the container first. The storage account is that of
AzureWebJobsStorage, or, with your own sign-in, that of AzureWebJobsStorage__queueServiceUri and
AzureWebJobsStorage__blobServiceUri.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from shared.errors import InvalidInputError, ProblemError
from shared.mail.attachments import read_body, size_files
from shared.mail.local_files import LocalFile, replace_files_by_blobs
from shared.mail.message import MailRequest, parse_mail_request
from shared.mail.payload import build_message, write_json
from shared.mail.ports import StoredFile
from shared.problems import FieldError
from shared.schema import read_json
from shared.sending.prepare import check_sizes, files_outside_folder

if TYPE_CHECKING:
    from typing import BinaryIO

    from shared.mail.ports import AttachmentFiles
    from shared.mail_queue import Outbox

_NOW = timedelta(0)


class EnqueueServices(Protocol):
    """The ports of the command."""

    @property
    def outbox(self) -> Outbox:
        """The queue."""

    @property
    def files(self) -> AttachmentFiles:
        """The container for files."""

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that the installation serves, if known on this machine."""

    @property
    def public_base_url(self) -> str:
        """The URL of the installation's API; empty if not known here."""


class _PlannedFiles:
    """The container as it will be once the local files are uploaded."""

    def __init__(self, local: tuple[LocalFile, ...], stored: AttachmentFiles) -> None:
        self._local = {file.blob: file for file in local}
        self._stored = stored

    def find(self, path: str) -> StoredFile:
        """Look up a file among the local ones, then in the container."""
        local = self._local.get(path)
        return self._stored.find(path) if local is None else StoredFile(path, local.size, "")

    def read(self, file: StoredFile, first: int = 0, length: int | None = None) -> bytes:
        """Return the content of a small file."""
        local = self._local.get(file.path)
        return self._stored.read(file, first, length) if local is None else local.path.read_bytes()

    def put(self, path: str, content: BinaryIO) -> None:
        """Upload a file to the container."""
        self._stored.put(path, content)


def enqueue(message: dict[str, Any], folder: Path, ports: EnqueueServices) -> MailRequest:
    """Validate a mail, upload its files, queue it, and return it.

    The checks are the same as in the app. Relative paths start at `folder`. The size limit of the mailbox,
    and whether large file attachments are on, cannot be checked, because only the installation knows them.

    Raises:
        InvalidInputError: `invalid_message`, with every invalid field; nothing was queued or uploaded.
        RejectedError: a file is missing in the container, or the mail exceeds every mailbox's limit.
    """
    local = replace_files_by_blobs(message, folder)
    text = json.dumps(message, ensure_ascii=False).encode()
    request = _parse(text, local)
    planned = _PlannedFiles(local, ports.files)
    _check(request, planned, ports.allowed_tenants)
    for file in local:
        with file.path.open("rb") as content:
            planned.put(file.blob, content)
    ports.outbox.put(text, _NOW)
    return request


def _parse(text: bytes, local: tuple[LocalFile, ...]) -> MailRequest:
    broken = [file.problem for file in local if file.error]
    try:
        request = parse_mail_request(text)
    except InvalidInputError as error:
        raise InvalidInputError("invalid_message", fields=[*error.fields, *broken]) from error
    if request.expires_at is not None and request.expires_at <= datetime.now(UTC):
        broken.append(FieldError("expiresAt", "is over"))
    if broken:
        raise InvalidInputError("invalid_message", fields=broken)
    return request


def _check(request: MailRequest, files: AttachmentFiles, allowed_tenants: frozenset[str]) -> None:
    reason = f"must begin with {request.tenant_id}/ because this installation serves several tenants"
    outside = [FieldError(field, reason) for field, _ in files_outside_folder(request, allowed_tenants)]
    if outside:
        raise InvalidInputError("invalid_message", fields=outside)
    sized = size_files(request.attachments, files)
    message = write_json(build_message(request, read_body(request.body, files), None))
    check_sizes(len(message), sized)


def main(arguments: list[str], ports: EnqueueServices) -> int:
    """Queue a file's mail and print where to follow it; return 1 on error."""
    command = ArgumentParser("python -m shared.enqueue", description="Queue a mail.")
    command.add_argument(
        "mail", type=Path, help="a message as described in docs/scheduler.md, with `file` for local files"
    )
    path: Path = command.parse_args(arguments).mail
    try:
        message = read_json(path.read_bytes())
        if not isinstance(message, dict):
            raise TypeError("it contains no JSON object")  # noqa: TRY301 - reported like other errors in the file
        request = enqueue(message, path.parent, ports)
    except InvalidInputError as error:
        sys.stderr.write("".join(f"{field.field}: {field.message}\n" for field in error.fields))
        return 1
    except (ProblemError, OSError, TypeError, ValueError) as error:
        sys.stderr.write(f"{path}: {error}\n")
        return 1
    sys.stdout.write(f"queued {request.message_id}\n{_status_hint(request, ports.public_base_url)}\n")
    return 0


def _status_hint(request: MailRequest, public_base_url: str) -> str:
    """Return where an admin can read the status of the mail."""
    url = f"{public_base_url}/api/deliveries/{quote(request.message_id, safe='')}"
    where = "" if public_base_url else ", at the address of the installation's API"
    return f"its status: GET {url} with an admin's token{where}, or the Tenant Settings page"


if __name__ == "__main__":
    from shared.scheduler_bootstrap import scheduler_services

    sys.exit(main(sys.argv[1:], scheduler_services()))
