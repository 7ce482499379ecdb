"""Build the services of the schedulers' command.

The command runs on a scheduler's machine, which has only some of the app's settings.
"""

from __future__ import annotations

from shared.bootstrap import Services
from shared.config import SchedulerConfig, StorageConfig
from shared.lazy import lazy
from shared.telemetry import quieten_libraries


class SchedulerServices(Services):
    """The queue and the container for the schedulers' command."""

    @lazy
    def scheduler_config(self) -> SchedulerConfig:
        """The settings that this machine has."""
        return SchedulerConfig.from_env()

    @lazy
    def storage(self) -> StorageConfig:
        """How to connect to the queue and the container."""
        return self.scheduler_config.storage

    @lazy
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that the installation serves; empty if not known here."""
        return self.scheduler_config.allowed_tenant_ids

    @lazy
    def public_base_url(self) -> str:
        """The URL of the installation's API; empty if not known here."""
        return self.scheduler_config.public_base_url


def scheduler_services() -> SchedulerServices:
    """Build the services of the schedulers' command."""
    quieten_libraries()
    return SchedulerServices()
