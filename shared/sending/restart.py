"""Decide which final mails restart when they are queued again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.deliveries.status import DeliveryStatus

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery

#: Statuses of such a mail; one that waits for a setting can be corrected as well.
_CORRECTABLE_STATUSES = frozenset({DeliveryStatus.REJECTED, DeliveryStatus.WAITING_FOR_OPERATOR})
#: Rejections that the sender of the mail can correct: nothing was sent.
CORRECTABLE = frozenset(
    {
        "attachment_archived",
        "attachment_encrypted",
        "attachment_not_found",
        "attachment_refused",
        "body_too_large",
        "file_infected",
        "file_too_large",
        "files_outside_folder",
        "large_file_attachments_off",
        "message_over_maximum",
        "message_too_large",
        "recipients_refused",
    }
)


def may_restart(known: Delivery) -> bool:
    """Return whether a final mail restarts when queued again.

    That is possible with other content too.
    """
    if known.uncertain_send is not None:
        return False
    if known.status is DeliveryStatus.EXPIRED:
        return True
    code = known.problem.code if known.problem else ""
    return known.status in _CORRECTABLE_STATUSES and code in CORRECTABLE
