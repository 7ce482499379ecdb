"""What is needed to keep mails and to know what became of them; the promises of `shared/ports.py` hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from shared.deliveries.delivery import Delivery, DeliveryStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class KeptTexts(Protocol):
    """One text a mail, by tenant and message id: its request, or a note on its draft."""

    def keep(self, tenant_id: str, message_id: str, text: bytes) -> None:
        """Keep a text; one that is kept already is written over."""

    def load(self, tenant_id: str, message_id: str) -> bytes | None:
        """Return a kept text, or None."""

    def remove(self, tenant_id: str, message_id: str) -> None:
        """Remove a text; one that is gone already is no error."""

    def untouched_since(self, moment: datetime) -> Iterator[tuple[str, str]]:
        """Name the mails whose texts nobody wrote from that moment on."""

    def of_tenant(self, tenant_id: str) -> Iterator[str]:
        """Name a tenant's mails by their message ids."""


@dataclass(frozen=True, slots=True)
class DeliveryQuery:
    """Which deliveries to list: newest first, from `since` on and before `until`."""

    tenant_id: str
    status: DeliveryStatus | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50
    continuation: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Some deliveries, and where to go on, if there may be more."""

    deliveries: tuple[Delivery, ...]
    continuation: str | None = None


class DeliveryLog(Protocol):
    """Keeps one row a mail."""

    def add(self, delivery: Delivery) -> Delivery | None:
        """Write a new row and return it; None where the mail has one already."""

    def save(self, delivery: Delivery) -> Delivery | None:
        """Write a row if it is still the one that was read; None where it is not."""

    def find(self, tenant_id: str, message_id: str) -> Delivery | None:
        """Return the row of one mail, or None."""

    def list(self, query: DeliveryQuery) -> DeliveryPage:
        """Return a page of rows, for reading only: without their histories and ETags.

        With a status, a page may be short, or empty, and have another one after it.
        """

    def count(self, tenant_id: str, statuses: Iterable[DeliveryStatus]) -> int:
        """Count the pending mails in these states; a thousand stands for any more."""

    def set_aside(
        self, tenant_id: str, statuses: Iterable[DeliveryStatus], limit: int
    ) -> tuple[Delivery, ...]:
        """Return the pending mails in these states, the oldest first, for reading only."""

    def next_tenant(self, tenant_id: str) -> str | None:
        """Return the tenant that comes next among those that have mails; None after the last one."""

    def finished_before(self, tenant_id: str, moment: datetime, continuation: str | None) -> DeliveryPage:
        """Return some of a tenant's mails that have been final since before a moment, to be removed.

        A page without mails can have another one after it.
        """

    def remove_finished(self, deliveries: Sequence[Delivery]) -> int:
        """Remove mails of one tenant that are as `finished_before` had them, and return how many were."""

    def removal_place(self) -> tuple[str, str | None]:
        """Return how far the removal of old mails came: a tenant, and a continuation in its log."""

    def save_removal_place(self, tenant_id: str, continuation: str | None) -> None:
        """Store how far it came; an empty tenant stands for the beginning."""

    def remove(self, delivery: Delivery) -> bool:
        """Remove a row that is done, if it is still the one that was read; say whether it was."""

    def count_all(self, tenant_id: str) -> int:
        """Count a tenant's mails, whatever their state; this reads all of them."""

    def remove_all(self, tenant_id: str) -> None:
        """Remove every row of a tenant, whatever its state."""


class OutcomeQueues(Protocol):
    """The queues in which schedulers read how their mails ended."""

    def put(self, queue: str, text: bytes) -> None:
        """Queue a message that stays until it is taken."""
