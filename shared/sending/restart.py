"""Decide which mails start again when they are queued again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.deliveries.status import DeliveryStatus

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery

#: Statuses of a mail with a problem that its sender may be able to correct.
_CORRECTABLE_STATUSES = frozenset({DeliveryStatus.REJECTED, DeliveryStatus.WAITING_FOR_OPERATOR})
#: Problems that the sender of the mail can correct, and because of which nothing was sent.
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
    """Return whether a mail starts again when it is queued again.

    The queued mail may have other content.
    """
    if known.uncertain_send is not None:
        return False
    if known.status is DeliveryStatus.EXPIRED:
        return True
    code = known.problem.code if known.problem else ""
    return known.status in _CORRECTABLE_STATUSES and code in CORRECTABLE
