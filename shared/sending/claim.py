"""Make sure that nobody else sends this mail, and that it was not sent before."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING

from shared.deliveries.delivery import Audience, Delivery, DeliveryStatus, Doubt, Step
from shared.errors import TransientError
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.sending.dependencies import Sending
    from shared.sending.request import MailRequest, Recipient

#: How long a message waits while another worker is sending the same mail.
WAIT_FOR_OTHER = timedelta(seconds=30)


class Standing(Enum):
    """What a row says to the worker that finds it."""

    FREE = auto()
    INTERRUPTED = auto()
    HELD = auto()
    EARLY = auto()
    DONE = auto()
    OTHER_CONTENT = auto()


#: States of a mail that is to be tried again at a set time.
_PUT_OFF = frozenset({DeliveryStatus.DEFERRED, DeliveryStatus.VERIFYING})
#: States in which the attempts go on that began before, and with them the time until they are given up.
_GOING_ON = _PUT_OFF | {DeliveryStatus.SENDING}
#: What the clocks of the queue and of this machine may differ.
_CLOCKS = timedelta(seconds=10)
#: A row holds 64 KiB; the counts tell the rest.
_MOST_DOMAINS = 50


def stand(known: Delivery, fingerprint: str, queue_id: str, now: datetime) -> Standing:
    """Read from a row whether its mail may be sent. Pure.

    The same queue message only comes again when its worker died or failed, so a claim in its name
    was interrupted, whatever its end says.
    """
    if known.status is DeliveryStatus.INVALID:
        return Standing.FREE
    if known.fingerprint != fingerprint:
        return Standing.OTHER_CONTENT
    if known.status.final:
        return Standing.DONE
    if known.status in _PUT_OFF and known.next_attempt_at and known.next_attempt_at > now + _CLOCKS:
        return Standing.EARLY
    if known.status is not DeliveryStatus.SENDING or known.claimed_by is None:
        return Standing.FREE
    return Standing.HELD if known.held_by_another(queue_id, now) else Standing.INTERRUPTED


def claim(request: MailRequest, text: bytes, queue_id: str, ports: Sending) -> Delivery | None:
    """Claim the mail for this worker alone; None where this message has nothing more to do."""
    now = ports.world.now()
    added = ports.deliveries.add(first_row(request, now).claimed(queue_id, now))
    if added:
        return added
    known = ports.deliveries.find(request.tenant_id, request.message_id)
    if known is None:
        raise TransientError("storage_unavailable", service="tables")
    standing = stand(known, request.fingerprint(), queue_id, now)
    if standing in (Standing.FREE, Standing.INTERRUPTED):
        again = next_row(known, request, now).claimed(queue_id, now)
        if standing is Standing.INTERRUPTED and again.doubt is None:
            again = replace(again, doubt=Doubt(now, begun=known.updated_at))
        mine = ports.deliveries.save(again)
        if mine:
            return mine
        standing = Standing.HELD
    stand_back(standing, known, text, ports)
    return None


def first_row(request: MailRequest, now: datetime) -> Delivery:
    """Describe a mail that nobody has seen before."""
    return Delivery(
        tenant_id=request.tenant_id,
        message_id=request.message_id,
        status=DeliveryStatus.SENDING,
        queued_at=now,
        updated_at=now,
        trying_since=now,
        fingerprint=request.fingerprint(),
        audience=_audience(request),
        correlation_id=request.correlation_id,
    )


def next_row(known: Delivery, request: MailRequest, now: datetime) -> Delivery:
    """Describe a mail that is tried again, or that comes corrected."""
    return replace(
        first_row(request, now),
        queued_at=known.queued_at,
        attempt=known.attempt + 1,
        trying_since=known.trying_since if known.status in _GOING_ON else now,
        doubt=known.doubt,
        history=known.history,
        etag=known.etag,
        stored=known.stored,
    )


def stand_back(standing: Standing, known: Delivery, text: bytes, ports: Sending) -> None:
    """Do what is to be done with a message whose mail is not this worker's to send."""
    if standing is Standing.HELD:
        ports.outbox.put(text, WAIT_FOR_OTHER)
        return
    if standing is Standing.EARLY and known.next_attempt_at:
        # It may be the only message there is, so it is not dropped.
        ports.outbox.put(text, known.next_attempt_at - ports.world.now())
        return
    if standing is Standing.DONE:
        log_event(Event.MAIL_DUPLICATE_IGNORED, tenant_id=known.tenant_id, message_id=known.message_id)
        return
    if known.status is not DeliveryStatus.SENDING:
        # A row that a worker has claimed is its own: it could not write the outcome over a newer one.
        ports.deliveries.save(known.noted(Step(ports.world.now(), known.status, "message_conflict")))
    log_event(
        Event.MAIL_CONFLICT, level=logging.ERROR, tenant_id=known.tenant_id, message_id=known.message_id
    )


def _audience(request: MailRequest) -> Audience:
    return Audience(len(request.to), len(request.cc), len(request.bcc), _domains(request.recipients))


def _domains(recipients: Iterable[Recipient]) -> tuple[str, ...]:
    every = sorted({recipient.address.rpartition("@")[2] for recipient in recipients})
    return tuple(every[:_MOST_DOMAINS])
