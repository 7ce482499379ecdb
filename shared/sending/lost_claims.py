"""Settle mails whose claim expired long ago without a redelivery.

The queue was cleared, or a region was lost. After an outage of the tables the message can also still be
redelivered, and with it the worker's knowledge. So the row is marked first, which shows that the tables are
writable, and the claim is settled if nothing has changed for longer than a message waits.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.deliveries.delivery import CLAIM_DURATION
from shared.deliveries.requeue import next_attempt_message
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, ConsentRequiredError, RejectedError, TransientError
from shared.sending.mailbox import Mailbox
from shared.sending.reconcile import mailbox_key
from shared.sending.record_accepted import log_accepted
from shared.settings.sender import sender_of
from shared.settings.tenant import ActiveProblem
from shared.telemetry import Event, log_failed_step, log_mail_event

if TYPE_CHECKING:
    from datetime import datetime

    from shared.deliveries.delivery import Delivery
    from shared.sending.ports import SendingServices

#: The queue redelivers a message after ten minutes, and the poison queue after as long.
_LOST_AFTER = timedelta(minutes=30)
#: A message that is put back into the queue waits at most a quarter of an hour.
_SETTLED_AFTER = timedelta(minutes=30)
#: In a large mailbox a search may never end: microsoftgraph/microsoft-graph-docs#5853.
_MAX_SEARCH_AGE = timedelta(days=1)
_MAX_LISTED = 5000
_MAX_PER_RUN = 150


def settle_lost_claims(tenant_id: str, ports: SendingServices) -> int:
    """Settle or requeue such mails; return how many were checked.

    If the request is stored, the mail is queued again, and the worker that processes it finds a stale claim.
    Otherwise nothing can be sent any more; a mail that was being sent is looked up if possible. If its
    scheduler queues the mail again and it had not been sent to Graph, it is sent then.
    """
    claimed = ports.deliveries.list_pending(tenant_id, [DeliveryStatus.SENDING], _MAX_LISTED)
    lost = [mail for mail in claimed if _may_be_lost(mail, ports.system.now())][:_MAX_PER_RUN]
    for mail in lost:
        now = ports.system.now()
        row = ports.deliveries.find(mail.tenant_id, mail.message_id)
        if row is None or not _is_lost(row, now) or row.installation not in {None, ports.installation}:
            continue
        if row.lost_since is None or row.lost_since > now:
            ports.deliveries.save(replace(row, lost_since=now))
        elif now - row.lost_since >= _SETTLED_AFTER and not _settle(row, now, ports):
            break
    return len(lost)


def _may_be_lost(mail: Delivery, now: datetime) -> bool:
    """Decide by the list, whose times are by the workers' clocks.

    No claim lasts longer than its lease.
    """
    return _is_lost(mail, now) or (
        mail.claim_ends_at is not None and mail.claim_ends_at > now + CLAIM_DURATION
    )


def _is_lost(mail: Delivery, now: datetime) -> bool:
    ends_at = mail.claim_ends_at or mail.updated_at + CLAIM_DURATION
    return mail.status is DeliveryStatus.SENDING and ends_at + _LOST_AFTER < now


def _settle(row: Delivery, now: datetime, ports: SendingServices) -> bool:
    """Settle one mail; say whether that was possible.

    The others need the mailbox as well.
    """
    if ports.requests.load(row.tenant_id, row.message_id) is not None:
        ports.outbox.put(next_attempt_message(row), timedelta(0))
        return True
    if not row.may_have_been_sent and row.uncertain_send is None:
        _end(row, DeliveryStatus.EXPIRED, "request_not_kept", Event.MAIL_EXPIRED, now, ports)
        return True
    row = row.with_uncertain_send(now)
    found = _is_in_mailbox(row, ports)
    if found is None and now < (row.lost_since or now) + _MAX_SEARCH_AGE:
        return False
    if not found:
        _end(row, DeliveryStatus.UNKNOWN, "outcome_unknown", Event.MAIL_OUTCOME_UNKNOWN, now, ports)
        return True
    accepted = row.transition(DeliveryStatus.ACCEPTED, now, uncertain_send=None)
    if ports.deliveries.save(accepted) is not None:
        log_accepted(accepted)
    return True


def _end(
    row: Delivery, status: DeliveryStatus, code: str, event: Event, now: datetime, ports: SendingServices
) -> None:
    if ports.deliveries.save(row.transition(status, now, problem=ActiveProblem(code, now))) is not None:
        log_mail_event(
            event,
            row,
            level=logging.ERROR,
            correlation_id=row.correlation_id,
            attempt=row.attempt,
            problem=code,
        )


def _is_in_mailbox(row: Delivery, ports: SendingServices) -> bool | None:
    """Look up the mail; not finding it proves nothing without a copy.

    The result is None where the mailbox cannot be searched now: the timer tries again.

    Raises:
        TransientError: the settings cannot be read.
    """
    settings = ports.settings.load(row.tenant_id)
    try:
        sender = sender_of(settings, ports.application_senders)
        key = mailbox_key(sender, row)
        if key is None:
            return False
        found = Mailbox(sender, ports).call(lambda token, own: ports.transport.find(token, own, key))
    except (ConsentRequiredError, ConfigurationError, RejectedError):
        return False
    except TransientError as error:
        log_failed_step("settle_lost_claim", error.code, tenant_id=row.tenant_id, message_id=row.message_id)
        return None
    return any(not mail.is_draft for mail in found)
