"""Define the queue message for another attempt of a stored mail.

The app queues it for an attempt after a delay, after a consent, or when an admin retries the mail.

The message has only the ids of the stored request. If it had the request itself, a request that fills the
queue's size limit would leave no room for the id of the attempt.
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

#: The first bytes of a requeue message, by which it is told from a scheduler's.
REQUEUE_MARK: Final = b'{"resume":'


class StoredMailRef(Contract):
    """A reference to a mail whose request is stored in `mail-requests`.

    Members that another version of the app adds are ignored.

    Attributes:
        requeued_for: the id of the attempt, as in the row; None in messages of older versions.
        slot_at, slot_line, slot_mailbox: the slot for which the mail waits (`Slot`).
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
        """When the attempt is due; None if it has no set time."""
        try:
            return datetime.fromisoformat(self.requeued_for or "").astimezone(UTC)
        except ValueError:
            return None

    @property
    def slot(self) -> Slot | None:
        """The slot for which the mail waits; None if it waits for none."""
        if self.slot_at is None:
            return None
        return Slot(self.slot_at, self.slot_line, mailbox=self.slot_mailbox)


class RequeueMessage(Contract):
    """A requeue message in the queue `mail-outbox`."""

    model_config = ConfigDict(extra="ignore")

    resume: StoredMailRef


def requeue_message(
    tenant_id: str, message_id: str, requeued_for: str | None = None, slot: Slot | None = None
) -> bytes:
    """Write a requeue message."""
    ref = StoredMailRef(tenant_id=tenant_id, message_id=message_id, requeued_for=requeued_for)
    if slot is not None:
        members = {"slot_at": slot.at, "slot_line": slot.line, "slot_mailbox": slot.mailbox}
        ref = ref.model_copy(update=members)
    return RequeueMessage(resume=ref).model_dump_json(by_alias=True, exclude_defaults=True).encode()


def next_attempt_message(row: Delivery, slot: Slot | None = None) -> bytes:
    """Write the message for a row's next attempt."""
    return requeue_message(row.tenant_id, row.message_id, row.requeued_for, slot)


def is_superseded(row: Delivery, requeued_for: str | None, queue_id: str) -> bool:
    """Return whether a later queue message exists for the mail.

    The message whose worker was to queue the later one is not superseded, because the worker may have crashed
    before it queued it.
    """
    if requeued_for is None or row.status is DeliveryStatus.OTHER_VERSION:
        return False
    return requeued_for != row.requeued_for and queue_id != row.requeued_by


def parse_requeue_message(text: bytes) -> StoredMailRef | None:
    """Parse a requeue message; None for others, such as a scheduler's.

    Raises:
        InvalidInputError: `invalid_message`, for an invalid requeue message, which the app did not write.
    """
    if not text.startswith(REQUEUE_MARK):
        return None
    return parse(RequeueMessage, text, "invalid_message").resume


def message_due_at(text: str) -> datetime | None:
    """Return when a queue message is due; None if it has no set time."""
    try:
        ref = parse_requeue_message(base64.b64decode(text))
    except (ValueError, InvalidInputError):
        return None
    return ref.due if ref else None
