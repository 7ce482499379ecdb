"""Notify a scheduler of its mail's outcome, at least once.

The row with the outcome also lists the notification as not sent yet. It is removed from that list only when
the message is in its queue, so if a process crashes between the two, the timer finds the row. Mails whose
scheduler did not ask for this cause no additional calls.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.deliveries.outcome_report import NOT_OFFERED
from shared.deliveries.status import FINAL, DeliveryStatus
from shared.errors import ConfigurationError, ProblemError
from shared.settings.tenant import ActiveProblem
from shared.telemetry import Event, log_event, log_failed_step, log_mail_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from shared.deliveries.delivery import Delivery
    from shared.deliveries.outcome_report import Outcome
    from shared.deliveries.ports import (
        DeliveryLog,
        DeliveryPage,
        DeliveryQuery,
        DeliveryServices,
        OutcomeQueues,
    )
    from shared.system import Moment, System

#: As many as one run of the timer reports for a tenant.
_MAX_PER_RUN = 500
_MAX_LISTED = 5000
#: For all tenants together; the host ends the timer after ten minutes, and mails are released before.
TIME_TO_REPORT = timedelta(minutes=2)


class NotifyingDeliveryLog:
    """A delivery log that reports each outcome that it stores.

    `offered` returns the queues of the setting OUTCOME_QUEUES; while it raises ConfigurationError, outcomes
    wait.
    """

    def __init__(
        self,
        log: DeliveryLog,
        queues: OutcomeQueues,
        offered: Callable[[], frozenset[str]],
        system: System,
    ) -> None:
        self._log = log
        self._queues = queues
        self._offered = offered
        self._system = system

    def add(self, delivery: Delivery) -> Delivery | None:
        """Write a new row and return it; None where the mail already has one."""
        return self._reported(self._log.add(delivery))

    def save(self, delivery: Delivery) -> Delivery | None:
        """Write a row if it is unchanged since it was read, else None."""
        return self._reported(self._log.save(delivery))

    def find(self, tenant_id: str, message_id: str) -> Delivery | None:
        """Return the row of one mail, or None."""
        return self._log.find(tenant_id, message_id)

    def list(self, query: DeliveryQuery) -> DeliveryPage:
        """Return a page of rows, for reading only."""
        return self._log.list(query)

    def count(self, tenant_id: str, statuses: Iterable[DeliveryStatus]) -> int:
        """Count the pending mails in these statuses."""
        return self._log.count(tenant_id, statuses)

    def list_pending(
        self, tenant_id: str, statuses: Iterable[DeliveryStatus], limit: int
    ) -> tuple[Delivery, ...]:
        """Return the pending mails in these statuses, oldest first, read-only."""
        return self._log.list_pending(tenant_id, statuses, limit)

    def next_tenant(self, tenant_id: str) -> str | None:
        """Return the next tenant that has mails."""
        return self._log.next_tenant(tenant_id)

    def finished_before(self, tenant_id: str, moment: datetime, continuation: str | None) -> DeliveryPage:
        """Return some of a tenant's mails that became final before a moment."""
        return self._log.finished_before(tenant_id, moment, continuation)

    def remove_finished(self, deliveries: Sequence[Delivery]) -> int:
        """Remove mails that are unchanged; return how many."""
        return self._log.remove_finished(deliveries)

    def removal_place(self) -> tuple[str, str | None]:
        """Return how far the removal of old mails has come."""
        return self._log.removal_place()

    def save_removal_place(self, tenant_id: str, continuation: str | None) -> None:
        """Store how far the removal has come."""
        self._log.save_removal_place(tenant_id, continuation)

    def remove(self, delivery: Delivery) -> bool:
        """Remove a finished row if it is unchanged; say whether it was."""
        return self._log.remove(delivery)

    def count_all(self, tenant_id: str) -> int:
        """Count a tenant's mails in every status."""
        return self._log.count_all(tenant_id)

    def remove_all(self, tenant_id: str) -> None:
        """Remove every row of a tenant."""
        self._log.remove_all(tenant_id)

    def _reported(self, row: Delivery | None) -> Delivery | None:
        """Report the waiting outcomes, and return the row as then stored."""
        if row is None or not row.owed:
            return row
        reported = row
        # A queue that is not available does not delay others, and gets its messages in order.
        for queue in dict.fromkeys(outcome.queue for outcome in row.owed):
            try:
                for outcome in row.owed:
                    if outcome.queue == queue:
                        reported = self._report(reported, outcome)
            except ProblemError as error:
                _log_unreported(row, error)
        if reported is row:
            return row
        try:
            return self._log.save(reported) or row
        except ProblemError as error:
            _log_unreported(row, error)
            return row

    def _report(self, row: Delivery, outcome: Outcome) -> Delivery:
        """Queue the message; a queue that is not offered adds a warning."""
        from shared.deliveries.outcome_message import outcome_message  # noqa: PLC0415 - few mails ask for it

        if outcome.status is DeliveryStatus.OTHER_VERSION:
            # The version that knows this outcome reports it.
            raise ConfigurationError("written_by_other_version")
        reported = replace(row, owed=tuple(owed for owed in row.owed if owed is not outcome))
        if outcome.queue in self._offered():
            self._queues.put(outcome.queue, outcome_message(row, outcome))
            return reported
        if any(warning.code == NOT_OFFERED for warning in row.warnings):
            return reported
        warning = ActiveProblem(NOT_OFFERED, self._system.now(), {"queue": outcome.queue})
        log_mail_event(
            Event.MAIL_WARNING,
            row,
            level=logging.WARNING,
            correlation_id=row.correlation_id,
            problem=NOT_OFFERED,
            who_acts=warning.problem.who_acts,
            count=1,
        )
        return replace(reported, warnings=(*row.warnings, warning))


def _log_unreported(row: Delivery, error: ProblemError) -> None:
    log_failed_step("tell_outcome", error.code, tenant_id=row.tenant_id, message_id=row.message_id)
    if isinstance(error, ConfigurationError):
        log_event(Event.OPERATOR_ERROR, level=logging.ERROR, problem=error.code)


def notify_owed(tenant_id: str, begun: Moment, ports: DeliveryServices) -> int:
    """Report outcomes that still wait; return how many mails had one.

    If a queue is not available for one mail, the others of that queue wait for the next run.

    Raises:
        TransientError: storage does not respond.
    """
    owed = 0
    unreachable: set[str | None] = set()
    for place in ports.deliveries.list_pending(tenant_id, FINAL, _MAX_LISTED):
        if place.outcome_queue in unreachable:
            continue
        if owed == _MAX_PER_RUN or begun.has_passed(TIME_TO_REPORT, ports.system):
            break
        row = ports.deliveries.find(place.tenant_id, place.message_id)
        if row is None or not row.owed:
            continue
        owed += 1
        reported = ports.deliveries.save(row)
        if reported is not None and reported.owed:
            unreachable.add(place.outcome_queue)
    return owed
