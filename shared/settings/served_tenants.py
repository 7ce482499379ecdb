"""Find tenants that have data here but are not served any more.

A tenant is not served once its id is removed from ALLOWED_TENANT_IDS. From then on, nothing is sent for it.
The removal can be a mistake, so the data of the tenant is not changed or deleted automatically: sending
continues when the id is added again, and `python -m shared.operate delete-tenant` deletes the data
permanently.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from shared.errors import ConfigurationError
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.settings.ports import SettingsStore


class ServedTenantsServices(Protocol):
    """The ports that are needed to find such tenants."""

    @property
    def settings(self) -> SettingsStore:
        """The settings, which name the tenants that have data here."""

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that this installation serves."""


def unserved_tenants(ports: ServedTenantsServices) -> frozenset[str]:
    """Return the tenants that have settings but are not served any more."""
    try:
        served = ports.allowed_tenants
    except ConfigurationError:
        # The setting is invalid, so it is not known which tenants are served. No token can be requested in
        # this case, so nothing is sent for any tenant.
        return frozenset()
    return frozenset(ports.settings.tenants()) - served


def report_unserved_tenants(ports: ServedTenantsServices) -> None:
    """Log each tenant that is not served any more.

    Each run of the timer logs it again, until the tenant is served again or its data is deleted.
    """
    for tenant_id in sorted(unserved_tenants(ports)):
        log_unserved_tenant(tenant_id)


def log_unserved_tenant(tenant_id: str) -> None:
    """Log that a tenant with settings or mail here is not served."""
    log_event(Event.TENANT_NOT_SERVED, level=logging.ERROR, tenant_id=tenant_id)
