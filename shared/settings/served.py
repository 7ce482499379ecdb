"""Which tenants are known here and not served: their data stays, and nothing is sent for them.

A tenant leaves when its id is taken out of ALLOWED_TENANT_IDS. That can be a mistake of one deployment, so
nothing of it is changed or deleted automatically: it goes on where it stopped when the id comes back, and
`python -m shared.operate delete-tenant` deletes it for good.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from shared.errors import ConfigurationError
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.ports import SettingsStore


class Serving(Protocol):
    """What is needed from the outside."""

    @property
    def settings(self) -> SettingsStore:
        """Which tenants are known here."""

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that this installation serves."""


def removed_tenants(ports: Serving) -> frozenset[str]:
    """Return the tenants that have settings here and are not served any more."""
    try:
        served = ports.allowed_tenants
    except ConfigurationError:
        # Nobody can tell. No token can be had either while a setting is broken, so nothing is sent.
        return frozenset()
    return frozenset(ports.settings.tenants()) - served


def report_removed_tenants(ports: Serving) -> None:
    """Log each tenant that left; the alert lasts until it is back or its data is deleted."""
    for tenant_id in sorted(removed_tenants(ports)):
        log_unserved_tenant(tenant_id)


def log_unserved_tenant(tenant_id: str) -> None:
    """Log that a tenant is not served although it has settings or mail here."""
    log_event(Event.TENANT_NOT_SERVED, level=logging.ERROR, tenant_id=tenant_id)
