"""Change a tenant's settings while other processes may change them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError, ConsentRequiredError, PreconditionFailedError, ProblemError
from shared.settings.sender_refusal import begin_probe, end_refusal
from shared.settings.state import is_current_consent, mark_reconnect_needed, record_operator_error
from shared.settings.tenant import ActiveProblem, Status
from shared.telemetry import Event, log_event, log_failed_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.settings.ports import SettingsStore
    from shared.settings.tenant import TenantSettings
    from shared.system import System


_ATTEMPTS = 5


def update_settings(
    store: SettingsStore,
    tenant_id: str,
    change: Callable[[TenantSettings], TenantSettings],
    *,
    just_read: TenantSettings | None = None,
) -> TenantSettings:
    """Apply a change to the stored settings; repeat it after a conflict.

    `change` runs once per attempt; its errors propagate. Unchanged settings are not written. The first
    attempt uses the settings that the caller has `just_read`, if any.

    Raises:
        PreconditionFailedError: there was a conflict in every attempt.
        ConfigurationError: `written_by_other_version`; such settings are not changed.
    """
    before = just_read or store.load(tenant_id)
    for _ in range(_ATTEMPTS - 1):
        try:
            return _write(store, before, change)
        except PreconditionFailedError:
            before = store.load(tenant_id)
    return _write(store, before, change)


def _write(
    store: SettingsStore, before: TenantSettings, change: Callable[[TenantSettings], TenantSettings]
) -> TenantSettings:
    if before.status is Status.OTHER_VERSION:
        raise ConfigurationError("written_by_other_version")
    after = change(before)
    return before if after == before else store.save(after)


def record_sender_failure(
    store: SettingsStore, tenant_id: str, version: int, error: ProblemError, system: System
) -> None:
    """Record a lost consent or operator error for the settings page.

    An error of a consent that has been replaced since is no problem of the tenant, and raises no alert.
    """
    if isinstance(error, ConsentRequiredError):
        change, event = mark_reconnect_needed, Event.CONSENT_LOST
    else:
        change, event = record_operator_error, Event.OPERATOR_ERROR
    problem = active_problem(error, system)
    after = update_settings(store, tenant_id, lambda settings: change(settings, version, problem))
    if not is_current_consent(after, version):
        return
    log_event(
        event, level=logging.ERROR, tenant_id=tenant_id, problem=error.code, request_id=error.request_id
    )


def probe_now(store: SettingsStore, tenant_id: str, message_id: str, system: System) -> None:
    """Make a mail the probe of a refused sender, because an admin asks."""
    now = system.now()

    def change(settings: TenantSettings) -> TenantSettings:
        if settings.status is not Status.SENDER_REFUSED:
            return settings
        return begin_probe(settings, message_id, now)

    update_settings(store, tenant_id, change)


def record_sender_accepted(store: SettingsStore, tenant_id: str, version: int) -> bool:
    """End a refusal of the sender after an accepted mail.

    Returns whether the change was stored. If not, the next accepted mail ends the refusal.
    """
    try:
        update_settings(store, tenant_id, lambda settings: end_refusal(settings, version))
    except ProblemError as error:
        log_failed_step("end_refusal", error.code, tenant_id=tenant_id)
        return False
    return True


def active_problem(error: ProblemError, system: System) -> ActiveProblem:
    """Return the record of an error, which lasts until somebody acts."""
    return ActiveProblem(error.code, system.now(), error.params, error.request_id)
