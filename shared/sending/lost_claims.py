"""Settle mails whose claim expired long ago and whose message is lost.

Normally the queue redelivers the message of a worker that crashed, and the next worker takes over its mail.
Messages are lost if the queue was cleared, or after the loss of a region.

After an outage of the tables, a message can also come late, with the knowledge of its worker about the
outcome. So a row is marked first (`lost_since`), which shows that the tables can be written again. Its claim
is settled if the row has not changed for longer than a message waits in the queue.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from itertools import islice
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

#: Longer than it takes until a message is redelivered: ten minutes in the queue, and as long in the poison
#: queue.
_LOST_AFTER = timedelta(minutes=30)
#: Longer than a message waits that was put back into the queue, which is at most a quarter of an hour.
_SETTLED_AFTER = timedelta(minutes=30)
#: After this time the search is given up. In a large mailbox each search can time out:
#: microsoftgraph/microsoft-graph-docs#5853.
_MAX_SEARCH_AGE = timedelta(days=1)
_MAX_PER_RUN = 150


def settle_lost_claims(tenant_id: str, ports: SendingServices) -> int:
    """Settle or requeue such mails; return how many were checked.

    If the request of a mail is stored, the mail is queued again, and the worker that processes it finds the
    stale claim. If not, the app cannot send the mail any more. If it may have been sent, it is looked up. If
    it was not sent and its scheduler queues it again, it is sent then.
    """
    claimed = ports.deliveries.pending(tenant_id, [DeliveryStatus.SENDING])
    now = ports.system.now()
    own = (mail for mail in claimed if mail.installation in {None, ports.installation})
    lost = list(islice((mail for mail in own if _may_be_lost(mail, now)), _MAX_PER_RUN))
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
    """Decide from the list whether to read the row of a mail.

    The list has times of the workers' clocks, which may be wrong. A claim that seems to end later than any
    claim can is one of these.
    """
    return _is_lost(mail, now) or (
        mail.claim_ends_at is not None and mail.claim_ends_at > now + CLAIM_DURATION
    )


def _is_lost(mail: Delivery, now: datetime) -> bool:
    claim_ends_at = mail.claim_ends_at or mail.updated_at + CLAIM_DURATION
    return mail.status is DeliveryStatus.SENDING and claim_ends_at + _LOST_AFTER < now


def _settle(row: Delivery, now: datetime, ports: SendingServices) -> bool:
    """Settle one mail; return whether that was possible.

    If the mailbox cannot be searched now, it cannot be searched for the other mails either.
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
    """Return whether the sent mail is in the mailbox.

    Returns None if the mailbox cannot be searched now, and the timer tries again. If the mail cannot be
    looked up at all, this returns False, which does not prove that the mail was not sent.

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
    except ConsentRequiredError:
        # With another consent it counts as another mailbox.
        return False
    except (TransientError, ConfigurationError, RejectedError) as error:
        # A search contains nothing of the mail: what is refused is a setting, the mailbox or a permission.
        log_failed_step("settle_lost_claim", error.code, tenant_id=row.tenant_id, message_id=row.message_id)
        return None
    return any(not mail.is_draft for mail in found)
