"""Find tenants that have data here but are not served any more.

Their data is kept, and nothing is sent for them.

A tenant is not served once its id is removed from ALLOWED_TENANT_IDS. That can be a mistake in one
deployment, so its data is not changed or deleted automatically: sending continues when the id is added again,
and `python -m shared.operate delete-tenant` deletes the data permanently.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from shared.errors import ConfigurationError
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.settings.ports import SettingsStore


class ServedTenantsServices(Protocol):
    """What is needed from outside."""

    @property
    def settings(self) -> SettingsStore:
        """Which tenants are known here."""

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that this installation serves."""


def removed_tenants(ports: ServedTenantsServices) -> frozenset[str]:
    """Return the tenants that have settings but are not served any more."""
    try:
        served = ports.allowed_tenants
    except ConfigurationError:
        # Unknown. With a broken setting no token can be requested either, so nothing is sent.
        return frozenset()
    return frozenset(ports.settings.tenants()) - served


def report_removed_tenants(ports: ServedTenantsServices) -> None:
    """Log each tenant not served any more.

    The alert lasts until it is served again or its data is deleted.
    """
    for tenant_id in sorted(removed_tenants(ports)):
        log_unserved_tenant(tenant_id)


def log_unserved_tenant(tenant_id: str) -> None:
    """Log that a tenant with settings or mail here is not served."""
    log_event(Event.TENANT_NOT_SERVED, level=logging.ERROR, tenant_id=tenant_id)
