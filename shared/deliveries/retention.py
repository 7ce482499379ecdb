"""Forget mails that have been done for long enough."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.deliveries.ports import DeliveryLog, KeptTexts
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
    def retention_days(self) -> int:
        """How long the delivery log goes back."""


def remove_finished(ports: Forgetting) -> int:
    """Remove old rows and what is kept for them, and return how many.

    The row goes first, unless somebody retries the mail just now; what is left after a crash, the
    storage account removes by its age.
    """
    count = 0
    before = ports.world.now() - timedelta(days=ports.retention_days)
    for mail in ports.deliveries.finished_before(before):
        row = ports.deliveries.find(mail.tenant_id, mail.message_id)
        if row is not None and row.status.final and row.updated_at < before and ports.deliveries.remove(row):
            ports.requests.remove(mail.tenant_id, mail.message_id)
            ports.drafts.remove(mail.tenant_id, mail.message_id)
            count += 1
    if count:
        log_event(Event.FINISHED_MAILS_REMOVED, count=count)
    return count
