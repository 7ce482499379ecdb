"""A vault in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from shared.consent.ports import DeletedTokens


@dataclass
class MemoryVault:
    """Stores secrets; each entry of `fail` is raised once."""

    secrets: dict[str, str] = field(default_factory=dict)
    older: dict[str, list[str]] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    recoverable_until: datetime | None = None
    purgeable: bool = False
    kept: dict[str, DeletedTokens] = field(default_factory=dict)
    lists: int = 0
    fail: list[Exception] = field(default_factory=list)

    def read(self, name: str) -> str | None:
        self._fail()
        return self.secrets.get(name)

    def write(self, name: str, tokens: str, *, new: bool = False) -> None:
        self._fail()
        if name in self.secrets:
            self.older.setdefault(name, []).append(self.secrets[name])
        self.secrets[name] = tokens

    def disable_older_versions(self, name: str) -> None:
        self._fail()
        self.older.pop(name, None)

    def delete(self, name: str) -> datetime | None:
        self._fail()
        if self.secrets.pop(name, None) is not None:
            self.deleted.append(name)
            if self.recoverable_until is not None:
                self.kept[name] = DeletedTokens(name, self.recoverable_until, self.purgeable)
        return self.kept[name].recoverable_until if name in self.kept else None

    def recoverable(self) -> tuple[DeletedTokens, ...]:
        self._fail()
        return tuple(self.kept.values())

    def purge(self, name: str) -> None:
        self._fail()
        self.kept.pop(name, None)

    def names(self) -> tuple[str, ...]:
        self._fail()
        self.lists += 1
        return tuple(self.secrets)

    def _fail(self) -> None:
        if self.fail:
            raise self.fail.pop(0)
