"""Change a tenant's settings safely under concurrent changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import ConfigurationError, PreconditionFailedError
from shared.settings.tenant import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.settings.ports import SettingsStore
    from shared.settings.tenant import TenantSettings

_TRIES = 5


def update_settings(
    store: SettingsStore, tenant_id: str, change: Callable[[TenantSettings], TenantSettings]
) -> TenantSettings:
    """Apply a change to the stored settings; repeat it after a conflict.

    `change` runs once per attempt; its errors propagate. Unchanged settings are not written.

    Raises:
        PreconditionFailedError: there was a conflict in every attempt.
        ConfigurationError: `written_by_other_version`; they are not changed.
    """
    for _ in range(_TRIES - 1):
        try:
            return _try(store, tenant_id, change)
        except PreconditionFailedError:
            continue
    return _try(store, tenant_id, change)


def _try(
    store: SettingsStore, tenant_id: str, change: Callable[[TenantSettings], TenantSettings]
) -> TenantSettings:
    before = store.load(tenant_id)
    if before.status is Status.OTHER_VERSION:
        raise ConfigurationError("written_by_other_version")
    after = change(before)
    return before if after == before else store.save(after)
