"""Settings, pauses and the operator log in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import count

from shared.errors import (
    PreconditionFailedError,
)
from shared.settings.installation import OtherInstallationError
from shared.settings.operator_log import OperatorAction
from shared.settings.sending_switch import SendingPause
from shared.settings.tenant import TenantSettings
from tests.fakes.values import CLIENT_ID


@dataclass
class MemorySettings:
    """Stores settings; each entry of `lost` is raised once, after a write."""

    rows: dict[str, TenantSettings] = field(default_factory=dict)
    lost: list[Exception] = field(default_factory=list)
    versions: Iterable[int] = field(default_factory=lambda: count(1))
    last_version: dict[str, int] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)

    def check_owner(self, tenant_id: str) -> None:
        if tenant_id in self.foreign:
            raise OtherInstallationError(ours=CLIENT_ID, theirs="another")

    def load(self, tenant_id: str) -> TenantSettings:
        self.check_owner(tenant_id)
        left = TenantSettings(tenant_id, last_version=self.last_version.get(tenant_id, 0))
        return self.rows.get(tenant_id, left)

    def save(self, settings: TenantSettings) -> TenantSettings:
        if self.load(settings.tenant_id).etag != settings.etag:
            raise PreconditionFailedError("settings_changed")
        saved = replace(settings, etag=f"v{next(iter(self.versions))}")
        self.rows[settings.tenant_id] = saved
        if self.lost:
            raise self.lost.pop(0)
        return saved

    def tenants(self) -> tuple[str, ...]:
        return tuple(self.rows)

    def remove(self, tenant_id: str) -> None:
        self.last_version[tenant_id] = self.load(tenant_id).last_version
        self.rows.pop(tenant_id, None)


@dataclass
class MemoryPause:
    """Stores the pause of sending; each entry of `fail` is raised once."""

    pause: SendingPause | None = None
    fail: list[Exception] = field(default_factory=list)
    reads: int = 0

    def load(self) -> SendingPause | None:
        self.reads += 1
        if self.fail:
            raise self.fail.pop(0)
        return self.pause

    def save(self, pause: SendingPause) -> SendingPause:
        known = self.pause or pause
        self.pause = replace(known, installation=known.installation or pause.installation)
        return self.pause

    def remove(self) -> None:
        self.pause = None


@dataclass
class MemoryOperatorLog:
    actions: list[OperatorAction] = field(default_factory=list)

    def add(self, action: OperatorAction) -> None:
        self.actions.append(action)

    def unreported(self) -> tuple[OperatorAction, ...]:
        return tuple(sorted(self.actions, key=lambda action: action.at))

    def remove(self, action: OperatorAction) -> None:
        if action in self.actions:
            self.actions.remove(action)
