"""Which ended mails start again when their scheduler queues them again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.deliveries.delivery import DeliveryStatus

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery

#: States in which such a mail lies; one that waits for a setting can be corrected as well.
_HELD = frozenset({DeliveryStatus.REJECTED, DeliveryStatus.WAITING_FOR_OPERATOR})
#: Refusals that the sender of the mail can correct: nothing of it went out.
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
    """Say whether a mail of this id starts again, also with other content, when it is queued again."""
    if known.doubt is not None:
        return False
    if known.status is DeliveryStatus.EXPIRED:
        return True
    code = known.problem.code if known.problem else ""
    return known.status in _HELD and code in CORRECTABLE
