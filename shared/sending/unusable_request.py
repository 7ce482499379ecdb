"""Record a mail whose stored request is missing or unreadable.

A request is unreadable if another version of the app wrote it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shared.deliveries.delivery import CLAIM_DURATION
from shared.deliveries.requeue import is_superseded, requeue_message
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, ExpiredError
from shared.sending.record_outcome import write_outcome
from shared.settings.update import active_problem

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.deliveries.requeue import StoredMailRef
    from shared.errors import InvalidInputError
    from shared.sending.ports import SendingServices


def record_lost(mail: StoredMailRef, queue_id: str, unused: frozenset[str], ports: SendingServices) -> None:
    """Record that the stored request of a retried mail is missing.

    `unused` are claims of the mail with which nothing was sent.
    """
    known = _unfinished(mail, queue_id, unused, ports)
    if known is None:
        return
    row = known.transition(
        DeliveryStatus.UNKNOWN if known.uncertain_send else DeliveryStatus.EXPIRED,
        ports.system.now(),
        problem=active_problem(ExpiredError("request_not_kept"), ports.system),
    )
    write_outcome(replace(row, fields=()), ports)


def record_unreadable_request(
    mail: StoredMailRef,
    queue_id: str,
    unused: frozenset[str],
    error: InvalidInputError,
    ports: SendingServices,
) -> None:
    """Record that a mail waits, because its stored request can't be read.

    Another version of the app has stored the request, which is not changed. The timer releases the mail like
    other mails that wait for the operator.
    """
    known = _unfinished(mail, queue_id, unused, ports)
    if known is None:
        return
    row = known.transition(
        DeliveryStatus.WAITING_FOR_OPERATOR,
        ports.system.now(),
        problem=active_problem(ConfigurationError("request_of_other_version"), ports.system),
        fields=error.fields,
    )
    write_outcome(row, ports)


def _unfinished(
    mail: StoredMailRef, queue_id: str, unused: frozenset[str], ports: SendingServices
) -> Delivery | None:
    """Return the row of the mail, or None if nothing is to be done.

    If the mail may have been sent, the row has an uncertain send.
    """
    now = ports.system.now()
    known = ports.deliveries.find(mail.tenant_id, mail.message_id)
    if known is None or known.status.final or known.status is DeliveryStatus.OTHER_VERSION:
        return None
    if is_superseded(known, mail.requeued_for, queue_id):
        return None
    if known.own_claim in unused:
        return known
    if known.held_by_another(queue_id, now):
        # A worker has claimed the mail and may be sending it. So it had the request, or can read it.
        ports.outbox.put(requeue_message(mail.tenant_id, mail.message_id, mail.requeued_for), CLAIM_DURATION)
        return None
    return known.with_uncertain_send(now) if known.may_have_been_sent else known
