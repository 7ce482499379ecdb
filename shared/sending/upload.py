"""Upload a large file from Blob Storage to a draft, chunk by chunk.

The next chunk is read while one is sent, so at most two chunks are in memory for any size of file.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING

from pydantic import ConfigDict, Field

from shared.mail.payload import build_upload_item
from shared.schema import Contract
from shared.sending.errors import UploadInterruptedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.mail.attachments import SizedFile
    from shared.mail.ports import StoredFile
    from shared.sending.mailbox import Mailbox
    from shared.sending.ports import SendingServices

#: Below Graph's limit of 4 MB and, as OneDrive's hosts require, a multiple of 320 KiB.
CHUNK_BYTES = 8 * 320 * 1024


class Upload(Contract):
    """The progress of an upload.

    Attributes:
        file_index: the index of the file among the attachments of the mail.
        url: the upload session of Graph.
        first: the position of the next byte to send.
    """

    model_config = ConfigDict(extra="allow")

    file_index: int = Field(alias="place")
    url: str = Field(repr=False)
    first: int = 0


type Save = Callable[[Upload | None], None]


def upload_file(
    file: SizedFile,
    place: int,
    draft_id: str,
    started: Upload | None,
    save: Save,
    mailbox: Mailbox,
    ports: SendingServices,
) -> None:
    """Upload a file to a draft, or continue an upload that was `started`.

    Raises:
        TransientError: the next attempt continues the upload, or creates a new draft after `file_changed`.
        RejectedError: Exchange does not accept the file.
    """
    assert file.stored is not None  # noqa: S101 - content inside a message is small
    upload = started
    if upload is None:
        item = build_upload_item(file.attachment, file.size)
        url = mailbox.call(lambda token, sender: ports.transport.open_upload(token, sender, draft_id, item))
        upload = Upload(file_index=place, url=url)
        save(upload)
    try:
        _send_chunks(file.stored, upload, save, mailbox, ports, may_be_there=started is not None)
    except UploadInterruptedError:
        # A session that was just created may not be known to every server yet, so it is kept for the next
        # attempt.
        if started is not None:
            save(None)
        raise


def _send_chunks(
    file: StoredFile,
    upload: Upload,
    save: Save,
    mailbox: Mailbox,
    ports: SendingServices,
    *,
    may_be_there: bool,
) -> None:
    """Send the rest of a file.

    The progress of an upload cannot be requested from Graph. If the response to a chunk was lost, Graph may
    have the chunk (`may_be_there`). If so, Graph refuses the chunk when it is sent again, and expects the
    next one.
    """
    first: int | None = upload.first
    # The time limit of this thread also applies to the reading thread.
    limits = copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        chunk = reader.submit(limits.run, _read, file, upload.first, ports)
        while first is not None:
            sent = chunk.result()
            end = first + len(sent)
            if end < file.size:
                chunk = reader.submit(limits.run, _read, file, end, ports)
            after = _put(file, upload.url, sent, first, mailbox, ports, may_be_there=may_be_there)
            may_be_there = False
            if after is not None and not first < after < file.size:
                # The server asks for bytes that were sent already, or that do not exist, and would do so
                # again.
                raise UploadInterruptedError
            if after is not None and after != end:
                chunk = reader.submit(limits.run, _read, file, after, ports)
            first = after
            if first is not None:
                save(upload.model_copy(update={"first": first}))
                mailbox.check_time()


def _put(
    file: StoredFile,
    url: str,
    chunk: bytes,
    first: int,
    mailbox: Mailbox,
    ports: SendingServices,
    *,
    may_be_there: bool,
) -> int | None:
    try:
        return mailbox.call_limited(
            lambda: ports.transport.put_chunk(mailbox.sender, url, chunk, first, file.size)
        )
    except UploadInterruptedError:
        end = first + len(chunk)
        if may_be_there and end < file.size:
            return end
        raise


def _read(file: StoredFile, first: int, ports: SendingServices) -> bytes:
    return ports.files.read(file, first, min(CHUNK_BYTES, file.size - first))
