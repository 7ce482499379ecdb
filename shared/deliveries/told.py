"""Tell a scheduler how its mail ended, at least once.

The row that says how a mail ended also says that its scheduler is still owed the message. Only when the
message is in its queue is that taken back, so a process that ends between the two leaves a row that the timer
finds. A mail whose scheduler did not ask costs nothing of this.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from shared.deliveries.delivery import FINAL, DeliveryStatus
from shared.deliveries.outcome import NOT_OFFERED
from shared.errors import ConfigurationError, ProblemError
from shared.settings.tenant import StandingProblem
from shared.telemetry import Event, log_event, log_failed_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from shared.deliveries.delivery import Delivery
    from shared.deliveries.outcome import Outcome
    from shared.deliveries.ports import DeliveryLog, DeliveryPage, DeliveryQuery, OutcomeQueues
    from shared.world import Moment, World

#: As many as one call of the timer tells for a tenant.
_EACH_TIME = 500
_MOST_LOOKED_AT = 5000
#: For all tenants together; the host ends the timer after ten minutes, and the releases come before.
TIME_TO_TELL = timedelta(minutes=2)


class Telling(Protocol):
    """What is needed from the outside."""

    @property
    def world(self) -> World:
        """The clock."""

    @property
    def deliveries(self) -> DeliveryLog:
        """What happened to each mail."""


class ToldDeliveries:
    """A delivery log that tells the scheduler of each end that it stores.

    `offered` returns the queues of the setting OUTCOME_QUEUES; while it raises ConfigurationError, ends wait.
    """

    def __init__(
        self,
        log: DeliveryLog,
        queues: OutcomeQueues,
        offered: Callable[[], frozenset[str]],
        world: World,
    ) -> None:
        self._log = log
        self._queues = queues
        self._offered = offered
        self._world = world

    def add(self, delivery: Delivery) -> Delivery | None:
        """Write a new row and return it; None where the mail has one already."""
        return self._told(self._log.add(delivery))

    def save(self, delivery: Delivery) -> Delivery | None:
        """Write a row if it is still the one that was read; None where it is not."""
        return self._told(self._log.save(delivery))

    def find(self, tenant_id: str, message_id: str) -> Delivery | None:
        """Return the row of one mail, or None."""
        return self._log.find(tenant_id, message_id)

    def list(self, query: DeliveryQuery) -> DeliveryPage:
        """Return a page of rows, for reading only."""
        return self._log.list(query)

    def count(self, tenant_id: str, statuses: Iterable[DeliveryStatus]) -> int:
        """Count the pending mails in these states."""
        return self._log.count(tenant_id, statuses)

    def set_aside(
        self, tenant_id: str, statuses: Iterable[DeliveryStatus], limit: int
    ) -> tuple[Delivery, ...]:
        """Return the pending mails in these states, the oldest first, for reading only."""
        return self._log.set_aside(tenant_id, statuses, limit)

    def next_tenant(self, tenant_id: str) -> str | None:
        """Return the tenant that comes next among those that have mails."""
        return self._log.next_tenant(tenant_id)

    def finished_before(self, tenant_id: str, moment: datetime, continuation: str | None) -> DeliveryPage:
        """Return some of a tenant's mails that have been final since before a moment."""
        return self._log.finished_before(tenant_id, moment, continuation)

    def remove_finished(self, deliveries: Sequence[Delivery]) -> int:
        """Remove mails that are as they were returned, and return how many were."""
        return self._log.remove_finished(deliveries)

    def removal_place(self) -> tuple[str, str | None]:
        """Return how far the removal of old mails came."""
        return self._log.removal_place()

    def save_removal_place(self, tenant_id: str, continuation: str | None) -> None:
        """Store how far it came."""
        self._log.save_removal_place(tenant_id, continuation)

    def remove(self, delivery: Delivery) -> bool:
        """Remove a row that is done; say whether it was still the one that was read."""
        return self._log.remove(delivery)

    def count_all(self, tenant_id: str) -> int:
        """Count a tenant's mails, whatever their state."""
        return self._log.count_all(tenant_id)

    def remove_all(self, tenant_id: str) -> None:
        """Remove every row of a tenant."""
        self._log.remove_all(tenant_id)

    def _told(self, row: Delivery | None) -> Delivery | None:
        """Tell what is owed, and return the row as it is stored then."""
        if row is None or not row.owed:
            return row
        told = row
        # A queue that cannot be reached keeps no other waiting, and gets its messages in their order.
        for queue in dict.fromkeys(outcome.queue for outcome in row.owed):
            try:
                for outcome in row.owed:
                    if outcome.queue == queue:
                        told = self._tell(told, outcome)
            except ProblemError as error:
                _log_untold(row, error)
        if told is row:
            return row
        try:
            return self._log.save(told) or row
        except ProblemError as error:
            _log_untold(row, error)
            return row

    def _tell(self, row: Delivery, outcome: Outcome) -> Delivery:
        """Queue the message; a queue that is not offered becomes a warning of the mail."""
        from shared.deliveries.outcome_message import outcome_message  # noqa: PLC0415 - few mails ask for it

        if outcome.status is DeliveryStatus.OTHER_VERSION:
            # The version that knows this end tells it.
            raise ConfigurationError("written_by_other_version")
        told = replace(row, owed=tuple(owed for owed in row.owed if owed is not outcome))
        if outcome.queue in self._offered():
            self._queues.put(outcome.queue, outcome_message(row, outcome))
            return told
        if any(warning.code == NOT_OFFERED for warning in row.warnings):
            return told
        warning = StandingProblem(NOT_OFFERED, self._world.now(), {"queue": outcome.queue})
        log_event(
            Event.MAIL_WARNING,
            level=logging.WARNING,
            tenant_id=row.tenant_id,
            message_id=row.message_id,
            correlation_id=row.correlation_id,
            problem=NOT_OFFERED,
            who_acts=warning.problem.who_acts,
            count=1,
        )
        return replace(told, warnings=(*row.warnings, warning))


def _log_untold(row: Delivery, error: ProblemError) -> None:
    log_failed_step("tell_outcome", error.code, tenant_id=row.tenant_id, message_id=row.message_id)
    if isinstance(error, ConfigurationError):
        log_event(Event.OPERATOR_ERROR, level=logging.ERROR, problem=error.code)


def tell_owed(tenant_id: str, begun: Moment, ports: Telling) -> int:
    """Tell the ends that could not be told when they were stored, and return how many mails had one.

    After one mail whose queue cannot be reached, the others of that queue wait for the next call.

    Raises:
        TransientError: storage does not answer.
    """
    owed = 0
    unreachable: set[str | None] = set()
    for place in ports.deliveries.set_aside(tenant_id, FINAL, _MOST_LOOKED_AT):
        if place.outcome_queue in unreachable:
            continue
        if owed == _EACH_TIME or begun.has_passed(TIME_TO_TELL, ports.world):
            break
        row = ports.deliveries.find(place.tenant_id, place.message_id)
        if row is None or not row.owed:
            continue
        owed += 1
        told = ports.deliveries.save(row)
        if told is not None and told.owed:
            unreachable.add(place.outcome_queue)
    return owed
