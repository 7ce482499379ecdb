"""Replace the local files that a mail names by blobs, and check them."""

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
#: Stands for the hash of a file that cannot be read.
_NO_DIGEST = "0" * 64


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
        """The reason why it cannot be used, with its field."""
        return FieldError(self.field, self.error)


def replace_files_by_blobs(message: dict[str, Any], folder: Path) -> tuple[LocalFile, ...]:
    """Replace each `file` in a message by a `blob`, and return the files.

    This changes `message` itself. Relative paths start at `folder`.
    """
    return tuple(
        _replace_file(message, field, member, folder) for field, member in _members_with_file(message)
    )


def _members_with_file(message: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each object that names a file, after the path of its field."""
    candidates = [("body", message.get("body"))]
    attachments = message.get("attachments")
    if isinstance(attachments, list):
        candidates += [(f"attachments.{number}", each) for number, each in enumerate(attachments)]
    for field, member in candidates:
        if isinstance(member, dict) and isinstance(member.get("file"), str):
            yield field, member


def _replace_file(message: dict[str, Any], field: str, member: dict[str, Any], folder: Path) -> LocalFile:
    path = folder / member.pop("file")
    has_blob = member.get("blob") is not None
    digest, size, error = _read(path, is_text=field == "body")
    member["blob"] = _blob_path(message, digest, path.name)
    if has_blob:
        error = "give either file or blob"
    return LocalFile(f"{field}.file", path, member["blob"], size, error)


def _blob_path(message: dict[str, Any], digest: str, name: str) -> str:
    """Name a file's blob by its content, so that mails do not share files.

    The tenant's id is in lower case, as an installation for several tenants requires.
    """
    safe = _UNSAFE.sub("_", name)[-_MAX_NAME:].lstrip(". ") or "file"
    # An invalid `tenantId` is refused later, when the message is validated.
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
        return _NO_DIGEST, 0, f"the file {path} cannot be read: {refused.strerror}"
    return digest, size, error


def _text_error(path: Path, size: int) -> str:
    if size > MAX_BODY_BYTES:
        return f"has {size:,} bytes; a text has at most {MAX_BODY_BYTES:,}"
    try:
        path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        return "the file is not text in UTF-8"
    return ""
