"""Queue a mail by hand or from a Python scheduler.

    python -m shared.sending.enqueue mail.json

`mail.json` is a message of the queue. A file on this machine is named by `file` in place of `blob`, both for
an attachment and for the body; it is put into the container first. Storage is found by AzureWebJobsStorage;
or, with your own sign-in, by AzureWebJobsStorage__queueServiceUri, …__blobServiceUri and …__tableServiceUri.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from shared.errors import InvalidInputError, ProblemError
from shared.sending.request import parse_mail_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ports import Outbox
    from shared.sending.ports import AttachmentFiles

_NOW = timedelta(0)


class Queueing(Protocol):
    """What is needed from the outside."""

    @property
    def outbox(self) -> Outbox:
        """The queue."""

    @property
    def files(self) -> AttachmentFiles:
        """The container for files."""


def enqueue(message: dict[str, Any], folder: Path, ports: Queueing) -> str:
    """Check a mail, put its files into the container, queue it, and return its message id.

    Relative paths count from `folder`. A file's path in the container is the message id and its name,
    below the tenant's own folder.

    Raises:
        InvalidInputError: `invalid_message`, with every broken field; nothing was queued or put anywhere.
        OSError: a file can't be read.
    """
    uploads = list(_name_files(message))
    text = json.dumps(message, ensure_ascii=False).encode()
    request = parse_mail_request(text)
    for file, blob in uploads:
        with (folder / file).open("rb") as content:
            ports.files.put(blob, content)
    ports.outbox.put(text, _NOW)
    return request.message_id


def _name_files(message: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Turn each `file` of a message into a `blob`; give the pairs."""
    prefix = f"{message.get('tenantId')}/{str(message.get('messageId')).replace(':', '-')}"
    for place, holder in enumerate(_holders(message)):
        if isinstance(holder, dict) and isinstance(holder.get("file"), str):
            file = holder.pop("file")
            holder["blob"] = f"{prefix}/{place}/{Path(file).name}"
            yield file, holder["blob"]


def _holders(message: dict[str, Any]) -> list[object]:
    attachments = message.get("attachments")
    return [message.get("body"), *(attachments if isinstance(attachments, list) else [])]


def main(arguments: list[str], ports: Queueing) -> int:
    """Queue the mail of a file and say so; return 1 for a mail that can't be queued."""
    command = ArgumentParser("python -m shared.sending.enqueue", description="Queue a mail.")
    command.add_argument(
        "mail", type=Path, help="a message as docs/scheduler.md has it, with `file` for files of this machine"
    )
    path: Path = command.parse_args(arguments).mail
    try:
        message = json.loads(path.read_text("utf-8"))
        if not isinstance(message, dict):
            raise TypeError("it holds no JSON object")  # noqa: TRY301 - told like any other mistake in the file
        message_id = enqueue(message, path.parent, ports)
    except InvalidInputError as error:
        sys.stderr.write("".join(f"{field.field}: {field.message}\n" for field in error.fields))
        return 1
    except (ProblemError, OSError, TypeError, ValueError) as error:
        sys.stderr.write(f"{path}: {error}\n")
        return 1
    sys.stdout.write(f"queued {message_id}\n")
    return 0


if __name__ == "__main__":
    from shared.bootstrap import services

    sys.exit(main(sys.argv[1:], services()))
