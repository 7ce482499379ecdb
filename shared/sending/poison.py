"""Record a message that failed five times for a reason nobody foresaw, and keep its mail on its way.

It waits for the operator like any mail that can't be sent, is released by the timer, and can be retried
by hand. A message that poisons itself again and again ends after a day.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.deliveries.delivery import DeliveryStatus, Doubt
from shared.errors import ConfigurationError, ConflictError, TransientError
from shared.sending.claim import Standing, first_row, next_row, stand, stand_back
from shared.sending.queued import find_mail
from shared.sending.verdict import HORIZON
from shared.settings.health import standing
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from datetime import datetime

    from shared.deliveries.delivery import Delivery
    from shared.sending.dependencies import Sending
    from shared.sending.request import MailRequest

_NOT_TO_BE_SENT = frozenset({Standing.DONE, Standing.OTHER_CONTENT})
#: What says already why the mail does not move needs no other word.
_KNOWN = frozenset({DeliveryStatus.WAITING_FOR_CONSENT, DeliveryStatus.WAITING_FOR_OPERATOR})


def record_poisoned(text: bytes, queue_id: str, ports: Sending) -> None:
    """Record one message of the poison queue; returning completes it.

    Raises:
        ConflictError: `still_under_way`, where a worker may be sending the mail for another message.
    """
    mail = find_mail(text, queue_id, ports)
    if mail is None:
        return
    request, text = mail
    now = ports.world.now()
    known = ports.deliveries.find(request.tenant_id, request.message_id)
    if known is not None:
        found = stand(known, request.fingerprint(), queue_id, now)
        if found in _NOT_TO_BE_SENT:
            stand_back(found, known, text, ports)
            return
        if found is Standing.HELD:
            # The host shows the message again in ten minutes, and the claim ends soon after.
            raise ConflictError("still_under_way")
        if known.status in _KNOWN:
            return
    ports.requests.keep(request.tenant_id, request.message_id, text)
    row = _poisoned(_row(known, request, now), now, claimed=known is not None)
    problem = standing(ConfigurationError("mail_poisoned"), ports.world)
    row = row.moved(row.status, now, problem=problem)
    if (ports.deliveries.add(row) if known is None else ports.deliveries.save(row)) is None:
        raise TransientError("storage_unavailable", service="tables")
    log_event(
        Event.MAIL_POISONED,
        level=logging.ERROR,
        tenant_id=row.tenant_id,
        message_id=row.message_id,
        correlation_id=row.correlation_id,
        status=row.status,
    )


def _row(known: Delivery | None, request: MailRequest, now: datetime) -> Delivery:
    if known is None:
        return first_row(request, now)
    # A broken message came first, and this is the corrected one.
    return next_row(known, request, now) if known.status is DeliveryStatus.INVALID else known


def _poisoned(row: Delivery, now: datetime, *, claimed: bool) -> Delivery:
    """Say how the mail goes on; one that a worker had claimed may have been sent."""
    if claimed and row.claimed_by is not None and row.doubt is None:
        row = replace(row, doubt=Doubt(now, begun=row.updated_at))
    if now - row.trying_since < HORIZON:
        return replace(row, status=DeliveryStatus.WAITING_FOR_OPERATOR)
    return replace(row, status=DeliveryStatus.UNKNOWN if row.doubt else DeliveryStatus.EXPIRED)
