"""The queue message that retries a stored mail.

It is sent after a delay, a consent or a retry.

It carries only the name of the stored request: a message that fills the queue's limit could not grow.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pydantic import AwareDatetime, ConfigDict

from shared.deliveries.slot import Slot
from shared.deliveries.status import DeliveryStatus
from shared.errors import InvalidInputError
from shared.mail.fields import MessageId, TenantId
from shared.schema import Contract, parse

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery

#: How the message begins.
REQUEUE_MARK: Final = b'{"resume":'


class StoredMailRef(Contract):
    """A mail with a stored request in `mail-requests`.

    Members that another version adds are ignored.

    Attributes:
        requeued_for: the id of the attempt, as in the row; None in messages of older versions.
        slot_at, slot_line, slot_mailbox: the slot that the mail waits for; its line may move back meanwhile.
    """

    model_config = ConfigDict(extra="ignore")

    tenant_id: TenantId
    message_id: MessageId
    requeued_for: str | None = None
    slot_at: AwareDatetime | None = None
    slot_line: int = 0
    slot_mailbox: str = ""

    @property
    def due(self) -> datetime | None:
        """When its attempt is due; None for one that has no set time."""
        try:
            return datetime.fromisoformat(self.requeued_for or "").astimezone(UTC)
        except ValueError:
            return None

    @property
    def slot(self) -> Slot | None:
        """The slot."""
        if self.slot_at is None:
            return None
        return Slot(self.slot_at, self.slot_line, mailbox=self.slot_mailbox)


class RequeueMessage(Contract):
    """The message in `mail-outbox`."""

    model_config = ConfigDict(extra="ignore")

    resume: StoredMailRef


def requeue_message(
    tenant_id: str, message_id: str, requeued_for: str | None = None, slot: Slot | None = None
) -> bytes:
    """Write a requeue message."""
    ref = StoredMailRef(tenant_id=tenant_id, message_id=message_id, requeued_for=requeued_for)
    if slot is not None:
        place = {"slot_at": slot.at, "slot_line": slot.line, "slot_mailbox": slot.mailbox}
        ref = ref.model_copy(update=place)
    return RequeueMessage(resume=ref).model_dump_json(by_alias=True, exclude_defaults=True).encode()


def next_message(row: Delivery, slot: Slot | None = None) -> bytes:
    """Write the message for a row's next attempt."""
    return requeue_message(row.tenant_id, row.message_id, row.requeued_for, slot)


def is_superseded(row: Delivery, requeued_for: str | None, queue_id: str) -> bool:
    """Return whether a later queue message exists for the mail.

    That is not so for the message whose worker had to queue the later one: it may have crashed before.
    """
    if requeued_for is None or row.status is DeliveryStatus.OTHER_VERSION:
        return False
    return requeued_for != row.requeued_for and queue_id != row.requeued_by


def parse_requeue_message(text: bytes) -> StoredMailRef | None:
    """Parse a requeue message; None for others, such as a scheduler's.

    Raises:
        InvalidInputError: `invalid_message`, for an invalid requeue message from elsewhere.
    """
    if not text.startswith(REQUEUE_MARK):
        return None
    return parse(RequeueMessage, text, "invalid_message").resume


def due_at(text: str) -> datetime | None:
    """Return when a message is due; None without a set time."""
    try:
        ref = parse_requeue_message(base64.b64decode(text))
    except (ValueError, InvalidInputError):
        return None
    return ref.due if ref else None
