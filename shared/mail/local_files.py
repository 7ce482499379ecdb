"""Check files of this machine in a mail, and name their blobs."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.mail.attachments import MAX_BODY_BYTES
from shared.problems import FieldError

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNSAFE = re.compile(r"[^\w.() -]", re.ASCII)
_MAX_NAME = 150
_MISSING = "0" * 64


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file that the mail names by `file`.

    Attributes:
        field: its place in the mail, such as `attachments.0.file`.
        blob: its name in the container, which depends on the content.
        error: why it cannot be used; empty if it can.
    """

    field: str
    path: Path
    blob: str
    size: int
    error: str = ""

    @property
    def problem(self) -> FieldError:
        """Return why it cannot be used."""
        return FieldError(self.field, self.error)


def take_files(message: dict[str, Any], folder: Path) -> tuple[LocalFile, ...]:
    """Replace each `file` of a message by a `blob`.

    Relative paths start at `folder`.
    """
    return tuple(_take(message, field, holder, folder) for field, holder in _holders(message))


def _holders(message: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the members that name a file, with their field."""
    attachments = message.get("attachments")
    listed = attachments if isinstance(attachments, list) else []
    places = [("body", message.get("body")), *((f"attachments.{n}", each) for n, each in enumerate(listed))]
    for place, holder in places:
        if isinstance(holder, dict) and isinstance(holder.get("file"), str):
            yield place, holder


def _take(message: dict[str, Any], place: str, holder: dict[str, Any], folder: Path) -> LocalFile:
    path = folder / holder.pop("file")
    both = "give either file or blob" if holder.get("blob") is not None else ""
    digest, size, error = _read(path, is_text=place == "body")
    holder["blob"] = _blob_path(message, digest, path.name)
    return LocalFile(f"{place}.file", path, holder["blob"], size, both or error)


def _blob_path(message: dict[str, Any], digest: str, name: str) -> str:
    """Name a file's blob by its content, so that mails do not share files.

    The tenant's id is in lower case, as an installation for several tenants requires.
    """
    safe = _UNSAFE.sub("_", name)[-_MAX_NAME:].lstrip(". ") or "file"
    # An invalid value is refused by the contract, for its own member.
    tenant = _UNSAFE.sub("_", str(message.get("tenantId"))).lower()
    return f"{tenant}/{digest}/{safe}"


def _read(path: Path, *, is_text: bool) -> tuple[str, int, str]:
    """Return a file's hash, its size, and why it cannot be used."""
    try:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
            size = content.tell()
            error = _text_error(path, size) if is_text else ""
    except OSError as refused:
        return _MISSING, 0, f"the file {path} cannot be read: {refused.strerror}"
    return digest, size, error


def _text_error(path: Path, size: int) -> str:
    if size > MAX_BODY_BYTES:
        return f"has {size:,} bytes; a text has at most {MAX_BODY_BYTES:,}"
    try:
        path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        return "the file is not text in UTF-8"
    return ""
