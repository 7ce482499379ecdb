"""Attachments and stored texts in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO

from shared.errors import (
    MissingFileError,
    TransientError,
)
from shared.mail.ports import StoredFile
from tests.fakes.values import NOON


@dataclass
class MemoryFiles:
    blobs: dict[str, bytes] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)

    def find(self, path: str) -> StoredFile:
        content = self._content(path)
        return StoredFile(path, len(content), hashlib.sha256(content).hexdigest())

    def read(self, file: StoredFile, first: int = 0, length: int | None = None) -> bytes:
        self.reads.append(file.path)
        if file.path not in self.blobs or self.find(file.path).version != file.version:
            raise TransientError("file_changed", blob=file.path)
        end = None if length is None else first + length
        return self._content(file.path)[first:end]

    def put(self, path: str, content: BinaryIO) -> None:
        self.blobs[path] = content.read()

    def _content(self, path: str) -> bytes:
        if path not in self.blobs:
            raise MissingFileError(path)
        return self.blobs[path]


@dataclass
class MemoryTexts:
    kept: dict[tuple[str, str], bytes] = field(default_factory=dict)
    written: dict[tuple[str, str], datetime] = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: NOON

    def save(self, tenant_id: str, message_id: str, text: bytes) -> None:
        self.kept[tenant_id, message_id] = text
        self.written[tenant_id, message_id] = self.now()

    def load(self, tenant_id: str, message_id: str) -> bytes | None:
        return self.kept.get((tenant_id, message_id))

    def remove(self, tenant_id: str, message_id: str) -> None:
        self.kept.pop((tenant_id, message_id), None)

    def untouched_since(self, moment: datetime) -> Iterator[tuple[str, str]]:
        # Blob Storage lists names in alphabetical order.
        yield from [mail for mail in sorted(self.kept) if self.written[mail] < moment]

    def of_tenant(self, tenant_id: str) -> Iterator[str]:
        yield from [message_id for owner, message_id in self.kept if owner == tenant_id]
