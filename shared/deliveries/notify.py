"""Notify a scheduler of its mail's outcome, at least once.

The write that stores an outcome in the row of a mail also lists this outcome as not reported. It is removed
from the list once its message is in the queue. If the process crashes between the two, the timer finds the
row and reports the outcome. Mails whose scheduler did not ask for this cause no additional calls.
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
    from collections.abc import Callable, Iterable, Iterator, Sequence
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

#: How many mails one run of the timer reports for a tenant.
_MAX_PER_RUN = 500
#: For all tenants together. The host ends a run of the timer after ten minutes, and the run releases waiting
#: mails before it reports outcomes.
TIME_TO_REPORT = timedelta(minutes=2)


class NotifyingDeliveryLog:
    """A delivery log that reports each outcome that it stores.

    `offered_queues` returns the queues of the setting OUTCOME_QUEUES. While it raises ConfigurationError,
    outcomes wait.
    """

    def __init__(
        self,
        log: DeliveryLog,
        queues: OutcomeQueues,
        offered_queues: Callable[[], frozenset[str]],
        system: System,
    ) -> None:
        self._log = log
        self._queues = queues
        self._offered_queues = offered_queues
        self._system = system

    def add(self, delivery: Delivery) -> Delivery | None:
        """Write a new row and return it; None if the mail already has one."""
        return self._report_all(self._log.add(delivery))

    def save(self, delivery: Delivery) -> Delivery | None:
        """Write a row if it is unchanged since it was read, else None."""
        return self._report_all(self._log.save(delivery))

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

    def pending(self, tenant_id: str, statuses: Iterable[DeliveryStatus]) -> Iterator[Delivery]:
        """Yield what `list_pending` returns, without a limit."""
        return self._log.pending(tenant_id, statuses)

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

    def count_all(self, tenant_id: str) -> int:
        """Count a tenant's mails in every status."""
        return self._log.count_all(tenant_id)

    def remove_all(self, tenant_id: str) -> None:
        """Remove every row of a tenant."""
        self._log.remove_all(tenant_id)

    def _report_all(self, row: Delivery | None) -> Delivery | None:
        """Report the unreported outcomes of a row; return the row as stored."""
        if row is None or not row.unreported_outcomes:
            return row
        reported = row
        # One queue after the other: if a queue is not available, the others still get their messages, and its
        # own messages keep their order.
        for queue in dict.fromkeys(outcome.queue for outcome in row.unreported_outcomes):
            try:
                for outcome in row.unreported_outcomes:
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
        """Queue the message, or add a warning if the queue is not offered."""
        from shared.deliveries.outcome_message import outcome_message  # noqa: PLC0415 - few mails ask for it

        if outcome.status is DeliveryStatus.OTHER_VERSION:
            # The version that knows this outcome reports it.
            raise ConfigurationError("written_by_other_version")
        others = tuple(each for each in row.unreported_outcomes if each is not outcome)
        reported = replace(row, unreported_outcomes=others)
        if outcome.queue in self._offered_queues():
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


def report_waiting_outcomes(tenant_id: str, started: Moment, ports: DeliveryServices) -> int:
    """Report outcomes that still wait; return how many mails had one.

    If a queue is not available for one mail, the other mails with that queue wait for the next run.

    Raises:
        TransientError: storage does not respond.
    """
    count = 0
    unavailable: set[str | None] = set()
    # Without a limit, because the oldest mails may all have a queue that is unavailable for weeks.
    for listed in ports.deliveries.pending(tenant_id, FINAL):
        if count == _MAX_PER_RUN or started.has_passed(TIME_TO_REPORT, ports.system):
            break
        if listed.outcome_queue in unavailable:
            continue
        row = ports.deliveries.find(listed.tenant_id, listed.message_id)
        if row is None or _awaited_by(row) <= unavailable:
            continue
        count += 1
        # Saving reports the outcomes (`NotifyingDeliveryLog`).
        saved = ports.deliveries.save(row)
        if saved is not None:
            unavailable |= _awaited_by(saved)
    return count


def _awaited_by(row: Delivery) -> set[str | None]:
    """Return the queues for which the unreported outcomes of a mail wait.

    An outcome of another version waits for that version, for which its status stands: no queue has this name.
    """
    return {
        each.status if each.status is DeliveryStatus.OTHER_VERSION else each.queue
        for each in row.unreported_outcomes
    }
