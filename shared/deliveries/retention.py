"""Remove mails from the log that became final long enough ago.

Their blobs in the container `mail-requests` are not removed here, because a call for each blob would take
most of the time. The lifecycle rule of the storage account removes them thirty days later.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from shared.deliveries.ports import DeliveryServices
from shared.errors import ConfigurationError, ProblemError
from shared.settings.served_tenants import unserved_tenants
from shared.system import Moment
from shared.telemetry import Event, log_event, log_failed_step

if TYPE_CHECKING:
    from datetime import datetime

    from shared.settings.ownership import OwnedSettingsStore

#: The host ends the timer after ten minutes; the next run continues where this one stopped.
TIME_TO_REMOVE = timedelta(minutes=5)


class RetentionServices(DeliveryServices, Protocol):
    """The ports of the removal of old mails."""

    @property
    def settings(self) -> OwnedSettingsStore:
        """The settings, which say to which installation a tenant belongs."""

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that this installation serves."""

    @property
    def retention_days(self) -> int:
        """How many days of deliveries are kept."""


def remove_finished(ports: RetentionServices) -> int:
    """Remove the rows of old mails; return how many.

    The rows of tenants that are no longer served are kept.
    """
    started = Moment.of(ports.system)
    before = started.calendar - timedelta(days=ports.retention_days)
    unserved = unserved_tenants(ports)
    count = 0
    # The previous run may have stopped in the middle of a tenant's log.
    tenant_id, place = ports.deliveries.removal_place()
    if place is not None and (tenant_id in unserved or not _is_own(tenant_id, ports)):
        place = None
    while not started.has_passed(TIME_TO_REMOVE, ports.system):
        if place is None:
            following = ports.deliveries.next_tenant(tenant_id)
            if following is None:
                tenant_id = ""
                break
            tenant_id = following
            if tenant_id in unserved or not _is_own(tenant_id, ports):
                continue
        removed, place = _remove_some(tenant_id, before, place, ports)
        count += removed
        ports.deliveries.save_removal_place(tenant_id, place)
    ports.deliveries.save_removal_place(tenant_id, place)
    if count:
        log_event(Event.FINISHED_MAILS_REMOVED, count=count)
    return count


def _remove_some(
    tenant_id: str, before: datetime, place: str | None, ports: RetentionServices
) -> tuple[int, str | None]:
    """Remove a page of mails; return how many, and the next page."""
    log = ports.deliveries
    try:
        page = log.finished_before(tenant_id, before, place)
        count = log.remove_finished(page.deliveries)
    except ProblemError as error:
        # A failure for one tenant must not keep the others from being cleaned up.
        log_failed_step("retention", error.code, tenant_id=tenant_id)
        return 0, None
    return count, page.continuation


def _is_own(tenant_id: str, ports: RetentionServices) -> bool:
    try:
        ports.settings.check_owner(tenant_id)
    except ConfigurationError as error:
        log_failed_step("retention", error.code, tenant_id=tenant_id)
        return False
    return True
