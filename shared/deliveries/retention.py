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
    def retention_days(self) -> int:
        """How long the delivery log goes back."""


def remove_finished(ports: Forgetting) -> int:
    """Remove old rows and what is kept for them, and return how many.

    The request goes first: a row without its request can still be removed the next time.
    """
    count = 0
    for mail in ports.deliveries.finished_before(ports.world.now() - timedelta(days=ports.retention_days)):
        ports.requests.remove(mail.tenant_id, mail.message_id)
        ports.deliveries.remove(mail)
        count += 1
    if count:
        log_event(Event.FINISHED_MAILS_REMOVED, count=count)
    return count
