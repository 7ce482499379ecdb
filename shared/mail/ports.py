"""Declare the port for attachments; `adapters/` implements it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file at the time of its look-up.

    `size` is in bytes; a replaced file has another `version`.
    """

    path: str
    size: int
    version: str


class AttachmentFiles(Protocol):
    """The files that schedulers upload to the container `attachments`."""

    def find(self, path: str) -> StoredFile:
        """Look up a file.

        Raises:
            RejectedError: `attachment_not_found`.
        """

    def read(self, file: StoredFile, first: int = 0, length: int | None = None) -> bytes:
        """Return a part of a file, or all of a small one.

        Raises:
            TransientError: `file_changed` since it was looked up.
        """

    def put(self, path: str, content: BinaryIO) -> None:
        """Upload a file in pieces; an existing one is replaced."""
