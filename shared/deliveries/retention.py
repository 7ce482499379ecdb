"""Forget mails that have been done for long enough."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from shared.errors import ConfigurationError
from shared.settings.served import removed_tenants
from shared.telemetry import Event, log_event, log_failed_step

if TYPE_CHECKING:
    from shared.deliveries.ports import DeliveryLog, KeptTexts
    from shared.settings.ownership import OwnedSettingsStore
    from shared.world import World


class Forgetting(Protocol):
    """What is needed from the outside."""

    @property
    def world(self) -> World:
        """The clock."""

    @property
    def deliveries(self) -> DeliveryLog:
        """What became of each mail."""

    @property
    def requests(self) -> KeptTexts:
        """What was kept for a retry."""

    @property
    def drafts(self) -> KeptTexts:
        """What was kept of drafts."""

    @property
    def settings(self) -> OwnedSettingsStore:
        """Which tenants are known here."""

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that this installation serves."""

    @property
    def retention_days(self) -> int:
        """How long the delivery log goes back."""


def _is_own(tenant_id: str, ports: Forgetting) -> bool:
    try:
        ports.settings.check_owner(tenant_id)
    except ConfigurationError as error:
        log_failed_step("retention", error.code, tenant_id=tenant_id)
        return False
    return True


def remove_finished(ports: Forgetting) -> int:
    """Remove old rows and what is kept for them, and return how many.

    A tenant that left keeps what it has. The row goes first, unless somebody retries the mail just now; what
    is left after a crash, the storage account removes by its age.
    """
    count = 0
    before = ports.world.now() - timedelta(days=ports.retention_days)
    removed = removed_tenants(ports)
    for mail in ports.deliveries.finished_before(before):
        if mail.tenant_id in removed or not _is_own(mail.tenant_id, ports):
            continue
        row = ports.deliveries.find(mail.tenant_id, mail.message_id)
        if row is not None and row.status.final and row.updated_at < before and ports.deliveries.remove(row):
            ports.requests.remove(mail.tenant_id, mail.message_id)
            ports.drafts.remove(mail.tenant_id, mail.message_id)
            count += 1
    if count:
        log_event(Event.FINISHED_MAILS_REMOVED, count=count)
    return count
