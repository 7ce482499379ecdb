"""Once a day: keep unused consents alive, notice lost ones, and tidy up after whoever crashed.

A refresh token that nobody uses for 90 days dies, and a consent that was revoked shows only when it is
used; a daily refresh finds both out before a report does.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.consent.disposal import delete_tokens
from shared.errors import ConfigurationError, ConsentRequiredError, ProblemError
from shared.settings.health import note_failure
from shared.telemetry import Event, log_event, log_failure

if TYPE_CHECKING:
    from shared.consent.dependencies import Upkeeping
    from shared.settings.tenant import Consent, TenantSettings

#: The settings page and the consent window ask for a flow within minutes of its end.
_FLOWS_KEPT = timedelta(days=1)
#: Much longer than it can take from an answer in time to the settings that name its tokens.
_ANSWER_HANDLED = timedelta(hours=1)


def keep_all(ports: Upkeeping) -> None:
    """Look after every tenant; one that fails keeps no other from it."""
    for tenant_id in ports.settings.tenants():
        for step in (keep_alive, sweep):
            try:
                step(tenant_id, ports)
            except ProblemError as error:
                log_event(
                    Event.REQUEST_FAILED,
                    level=logging.WARNING,
                    path=f"upkeep/{step.__name__}",
                    problem=error.code,
                    tenant_id=tenant_id,
                )
            except Exception as error:  # noqa: BLE001 - a bug that one tenant meets is not every tenant's
                log_failure(error, path=f"upkeep/{step.__name__}", tenant_id=tenant_id)
    ports.flows.forget(ports.world.now() - _FLOWS_KEPT)


def keep_alive(tenant_id: str, ports: Upkeeping) -> None:
    """Refresh a consent, also where it did not work the last time."""
    consent = ports.settings.load(tenant_id).consent
    if consent is None:
        return
    try:
        ports.tokens.get(tenant_id, consent, fresh=True)
    except (ConsentRequiredError, ConfigurationError) as error:
        note_failure(ports.settings, tenant_id, consent.generation, error, ports.world)


def sweep(tenant_id: str, ports: Upkeeping) -> None:
    """Delete tokens that no settings name, such as those of a consent whose process died.

    The names are listed before the settings are read: a name that was listed and is then neither in use
    nor expected was given up, because no generation is ever used twice.
    """
    listed = ports.vault.names(tenant_id)
    settings = ports.settings.load(tenant_id)
    for name in set(listed) - set(_names_in_use(settings, ports.world.now())):
        delete_tokens(tenant_id, name, ports)


def _names_in_use(settings: TenantSettings, now: datetime) -> list[str]:
    """Name the tokens of the consent, and of one under way unless its process must have died."""
    consent: Consent | None = settings.consent
    names = [consent.secret_name] if consent and consent.secret_name else []
    if settings.pending and now < settings.pending.expires_at + _ANSWER_HANDLED:
        names.append(f"smtp-{settings.tenant_id}-{settings.pending.generation}")
    return names
