"""Record on a mail that another message with its id was refused."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.telemetry import Event, log_mail_event

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.sending.ports import SendingServices

#: The delay of a message while another worker is sending the mail with its id.
WAIT_FOR_OTHER = timedelta(seconds=30)


def record_conflict(known: Delivery, content: str, text: bytes, ports: SendingServices) -> None:
    """Record a refused message by its content hash.

    While the mail is being sent, this is delayed.

    A claimed row belongs to its worker: a change here would keep that worker from writing the outcome.
    """
    now = ports.system.now()
    claimed = known.claim_ends_at is not None and now < known.claim_ends_at
    if claimed or ports.deliveries.save(known.with_conflict(now, content)) is None:
        ports.outbox.put(text, WAIT_FOR_OTHER)
        return
    log_mail_event(Event.MAIL_CONFLICT, known, level=logging.ERROR)
