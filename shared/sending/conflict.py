"""Record in a mail's row that another mail with the same id was refused."""

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
    """Record that a message with other content was refused.

    `content` is the hash of the refused content. While a worker has claimed the mail, only that worker may
    change the row, because any other change would prevent it from writing the outcome. So the message is
    queued again.
    """
    now = ports.system.now()
    claimed = known.claim_ends_at is not None and now < known.claim_ends_at
    if claimed or ports.deliveries.save(known.with_conflict(now, content)) is None:
        ports.outbox.put(text, WAIT_FOR_OTHER)
        return
    log_mail_event(Event.MAIL_CONFLICT, known, level=logging.ERROR)
