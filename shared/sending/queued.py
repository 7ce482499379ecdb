"""Find the mail that a queued message is about: it is in the message, or kept since an earlier attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import InvalidInputError
from shared.sending.outcome import record_lost, record_unreadable
from shared.sending.request import MailRequest, parse_mail_request, parse_queued

if TYPE_CHECKING:
    from shared.sending.dependencies import Sending


def find_mail(text: bytes, queue_id: str, ports: Sending) -> tuple[MailRequest, bytes] | None:
    """Return the mail with its text; None, and the reason in its row, where there is none to be read."""
    try:
        queued = parse_queued(text)
    except InvalidInputError as error:
        record_unreadable(text, queue_id, error, ports)
        return None
    if isinstance(queued, MailRequest):
        return queued, text
    kept = ports.requests.load(queued.tenant_id, queued.message_id)
    if kept is None:
        record_lost(queued.tenant_id, queued.message_id, ports)
        return None
    try:
        return parse_mail_request(kept), kept
    except InvalidInputError as error:
        record_lost(queued.tenant_id, queued.message_id, ports, error)
        return None
