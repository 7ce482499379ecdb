"""The delivery log in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from typing import TYPE_CHECKING

from shared.adapters.delivery_row import MAX_DOCUMENT, document_size, write_delivery
from shared.deliveries.delivery import Delivery
from shared.deliveries.ports import DeliveryPage, DeliveryQuery
from shared.deliveries.status import PENDING, DeliveryStatus

if TYPE_CHECKING:
    from datetime import datetime


@dataclass
class MemoryDeliveries:
    """Stores the rows, and an index of the pending ones, as the table does."""

    rows: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    aside: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    page: int = 1000
    place: tuple[str, str | None] = ("", None)
    versions: Iterable[int] = field(default_factory=lambda: count(1))
    #: False in a benchmark: the check takes as much CPU time as a part of the app.
    checks_size: bool = True

    def add(self, delivery: Delivery) -> Delivery | None:
        if (delivery.tenant_id, delivery.message_id) in self.rows:
            return self._written(delivery)
        return self._write(delivery)

    def save(self, delivery: Delivery) -> Delivery | None:
        known = self.find(delivery.tenant_id, delivery.message_id)
        if known is None or known.etag != delivery.etag:
            return self._written(delivery)
        return self._write(delivery)

    def _written(self, delivery: Delivery) -> Delivery | None:
        """Return the row if it already equals the new one."""
        known = self.find(delivery.tenant_id, delivery.message_id)
        same = known and replace(known, etag=None, stored_status=None) == replace(
            delivery, etag=None, stored_status=None
        )
        return known if same else None

    def find(self, tenant_id: str, message_id: str) -> Delivery | None:
        return self.rows.get((tenant_id, message_id))

    def list(self, query: DeliveryQuery) -> DeliveryPage:
        newest_first = sorted(
            self.rows.values(), key=lambda row: (-row.queued_at.timestamp(), row.message_id)
        )
        fitting = [row for row in newest_first if _fits(row, query)]
        start = int(query.continuation[1:17]) if query.continuation else 0
        shown = fitting[start : start + query.limit]
        more = start + query.limit < len(fitting)
        listed = tuple(as_listed(row) for row in shown)
        return DeliveryPage(listed, f"!{start + query.limit:016d}!m" if more else None)

    def count(self, tenant_id: str, statuses: Iterable[DeliveryStatus]) -> int:
        wanted = set(statuses)
        return sum(row.tenant_id == tenant_id and row.status in wanted for row in self.aside.values())

    def list_pending(
        self, tenant_id: str, statuses: Iterable[DeliveryStatus], limit: int
    ) -> tuple[Delivery, ...]:
        return tuple(islice(self.pending(tenant_id, statuses), limit))

    def pending(self, tenant_id: str, statuses: Iterable[DeliveryStatus]) -> Iterator[Delivery]:
        wanted = set(statuses)
        rows = [row for row in self.aside.values() if row.tenant_id == tenant_id and row.status in wanted]
        for row in sorted(rows, key=lambda row: (row.queued_at, row.message_id)):
            yield as_listed(row)

    def next_tenant(self, tenant_id: str) -> str | None:
        return min((owner for owner, _ in self.rows if owner > tenant_id), default=None)

    def finished_before(self, tenant_id: str, moment: datetime, continuation: str | None) -> DeliveryPage:
        start = int(continuation or 0)
        rows = [row for row in self.rows.values() if row.tenant_id == tenant_id]
        some = rows[start : start + self.page]
        old = tuple(row for row in some if row.status.final and row.updated_at < moment)
        return DeliveryPage(old, str(start + self.page) if len(some) == self.page else None)

    def removal_place(self) -> tuple[str, str | None]:
        return self.place

    def save_removal_place(self, tenant_id: str, continuation: str | None) -> None:
        self.place = (tenant_id, continuation)

    def remove_finished(self, deliveries: Sequence[Delivery]) -> int:
        return sum(self._remove(delivery) for delivery in deliveries)

    def _remove(self, delivery: Delivery) -> bool:
        mail = (delivery.tenant_id, delivery.message_id)
        unchanged = mail in self.rows and self.rows[mail].etag == delivery.etag
        if unchanged:
            self.aside.pop(mail, None)
        return unchanged and self.rows.pop(mail) is not None

    def count_all(self, tenant_id: str) -> int:
        return sum(owner == tenant_id for owner, _ in self.rows)

    def remove_all(self, tenant_id: str) -> None:
        for rows in (self.rows, self.aside):
            for mail in [mail for mail in rows if mail[0] == tenant_id]:
                del rows[mail]

    def _write(self, delivery: Delivery) -> Delivery:
        # The service refuses any other row, and half a character cannot be sent to it.
        if self.checks_size:
            assert document_size(write_delivery(delivery)) <= MAX_DOCUMENT
        saved = replace(delivery, etag=f"v{next(iter(self.versions))}", stored_status=delivery.status)
        mail = (delivery.tenant_id, delivery.message_id)
        self.rows[mail] = saved
        if delivery.status in PENDING or delivery.unreported_outcomes:
            self.aside[mail] = saved
        else:
            self.aside.pop(mail, None)
        return saved


def as_listed(row: Delivery) -> Delivery:
    """Return what an index row has of a mail."""
    return replace(row, history=(), fields=(), unreported_outcomes=(), etag=None, stored_status=None)


def _fits(row: Delivery, query: DeliveryQuery) -> bool:
    return (
        row.tenant_id == query.tenant_id
        and (query.status is None or row.status is query.status)
        and (query.since is None or row.queued_at >= query.since)
        and (query.until is None or row.queued_at < query.until)
    )
