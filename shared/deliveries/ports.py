"""Declare the stores of mails and deliveries.

Every method may raise TransientError (the service is unavailable) and ConfigurationError (it refuses the app,
or a setting is missing); only further errors are named.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from shared.deliveries.delivery import Delivery
from shared.deliveries.status import DeliveryStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from shared.system import System


class TextStore(Protocol):
    """One text per mail, by tenant and message id.

    It is the request, or the state of a draft.
    """

    def save(self, tenant_id: str, message_id: str, text: bytes) -> None:
        """Store a text; an existing one is overwritten."""

    def load(self, tenant_id: str, message_id: str) -> bytes | None:
        """Return a stored text, or None."""

    def remove(self, tenant_id: str, message_id: str) -> None:
        """Remove a text; one that does not exist is no error."""

    def untouched_since(self, moment: datetime) -> Iterator[tuple[str, str]]:
        """Name the mails whose texts have not been written since that moment."""

    def of_tenant(self, tenant_id: str) -> Iterator[str]:
        """Return the message ids of a tenant's mails."""


@dataclass(frozen=True, slots=True)
class DeliveryQuery:
    """Which deliveries to list: newest first, `since` <= queued < `until`."""

    tenant_id: str
    status: DeliveryStatus | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50
    continuation: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Some deliveries, and where to continue, if there may be more."""

    deliveries: tuple[Delivery, ...]
    continuation: str | None = None


class DeliveryLog(Protocol):
    """Stores one row per mail."""

    def add(self, delivery: Delivery) -> Delivery | None:
        """Write a new row and return it; None where the mail already has one."""

    def save(self, delivery: Delivery) -> Delivery | None:
        """Write a row if it is unchanged since it was read, else None."""

    def find(self, tenant_id: str, message_id: str) -> Delivery | None:
        """Return the row of one mail, or None."""

    def list(self, query: DeliveryQuery) -> DeliveryPage:
        """Return a page of rows, for reading only, without history and ETag.

        With a status, a page may be short or empty, and still be followed by another.
        """

    def count(self, tenant_id: str, statuses: Iterable[DeliveryStatus]) -> int:
        """Count the pending mails in these statuses; 1000 means 1000 or more."""

    def list_pending(
        self, tenant_id: str, statuses: Iterable[DeliveryStatus], limit: int
    ) -> tuple[Delivery, ...]:
        """Return the pending mails in these statuses, oldest first, read-only."""

    def pending(self, tenant_id: str, statuses: Iterable[DeliveryStatus]) -> Iterator[Delivery]:
        """Yield what `list_pending` returns, without a limit.

        A mail that is changed meanwhile may be yielded as it was before.
        """

    def next_tenant(self, tenant_id: str) -> str | None:
        """Return the next tenant that has mails; None after the last one."""

    def finished_before(self, tenant_id: str, moment: datetime, continuation: str | None) -> DeliveryPage:
        """Return some of a tenant's mails that became final before a moment.

        They are to be removed.

        A page without mails can be followed by another one.
        """

    def remove_finished(self, deliveries: Sequence[Delivery]) -> int:
        """Remove mails unchanged since `finished_before`; return how many."""

    def removal_place(self) -> tuple[str, str | None]:
        """Return how far the removal of old mails has come.

        It is a tenant and a continuation token in its log.
        """

    def save_removal_place(self, tenant_id: str, continuation: str | None) -> None:
        """Store how far the removal has come; an empty tenant is the start."""

    def count_all(self, tenant_id: str) -> int:
        """Count a tenant's mails in every status; this reads all of them."""

    def remove_all(self, tenant_id: str) -> None:
        """Remove every row of a tenant, in every status."""


class OutcomeQueues(Protocol):
    """The queues in which schedulers read the outcomes of their mails."""

    def put(self, queue: str, text: bytes) -> None:
        """Queue a message without an expiry."""


class DeliveryLookup(Protocol):
    """The port needed to find a mail."""

    @property
    def deliveries(self) -> DeliveryLog:
        """The delivery log."""


class DeliveryServices(DeliveryLookup, Protocol):
    """The ports of everything that changes deliveries."""

    @property
    def system(self) -> System:
        """The clock."""
