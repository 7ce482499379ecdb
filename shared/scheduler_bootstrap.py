"""Builds what the schedulers' command needs, from the settings that a scheduler's machine has."""

from __future__ import annotations

from shared.bootstrap import Services
from shared.config import SchedulerConfig, StorageConfig
from shared.member import member
from shared.telemetry import quieten_libraries


class SchedulerServices(Services):
    """The queue and the container, for the schedulers' command: it has no other setting of the app."""

    @member
    def scheduler_config(self) -> SchedulerConfig:
        """What this machine knows of the installation."""
        return SchedulerConfig.from_env()

    @member
    def storage(self) -> StorageConfig:
        """Where queue and container are."""
        return self.scheduler_config.storage

    @member
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that the installation serves; empty where that is not known here."""
        return self.scheduler_config.allowed_tenant_ids

    @member
    def public_base_url(self) -> str:
        """Where the installation's API is; empty where that is not known here."""
        return self.scheduler_config.public_base_url


def scheduler_services() -> SchedulerServices:
    """Return what the schedulers' command needs."""
    quieten_libraries()
    return SchedulerServices()
