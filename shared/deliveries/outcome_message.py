"""Define the messages that notify a scheduler of its mails' outcomes.

Pure. The published JSON Schema, `docs/mail-outcome.schema.json`, is made from these models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import AwareDatetime, Field

from shared.contract import Contract
from shared.deliveries.outcome import MOST_ERRORS
from shared.deliveries.resume import MessageId, TenantId
from shared.problems import Actor

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.deliveries.outcome import Outcome


class OutcomeError(Contract):
    """One invalid field of an invalid message."""

    field: str = Field(description="Its dotted path, such as `attachments.0.blob`.")
    message: str = Field(description="What is wrong with it.")


class MailOutcome(Contract):
    """A mail's outcome, as a message of the mail's `outcomeQueue`.

    It can come twice, with the same `sequence`. It holds no address, subject or text of the mail.
    """

    schema_version: Literal[1] = Field(description="The version of this contract.")
    message_id: MessageId = Field(description="The scheduler's own id of the mail.")
    tenant_id: TenantId = Field(description="The Entra tenant that the mail is filed under.")
    correlation_id: str | None = Field(description="The scheduler's own mark of the message.")
    sequence: int = Field(
        ge=1,
        description=(
            "Counts the ends of this mail from 1. The same number is the same end, told again. A higher one "
            "replaces it: the mail was queued again or retried, or what was unknown is known by now."
        ),
    )
    status: Literal["accepted", "rejected", "invalid", "expired", "unknown"] = Field(
        description="How the mail ended."
    )
    code: str | None = Field(description="Why, as docs/errors.md lists it; null for an accepted mail.")
    who_acts: Actor | None = Field(description="Who can change that; null for an accepted mail.")
    errors: tuple[OutcomeError, ...] = Field(
        description=f"The broken fields of an invalid message, {MOST_ERRORS} at most."
    )
    at: AwareDatetime = Field(description="When it ended.")


def outcome_message(delivery: Delivery, outcome: Outcome) -> bytes:
    """Write the message for one outcome of a mail."""
    message = MailOutcome.model_validate(
        {
            "schema_version": 1,
            "message_id": delivery.message_id,
            "tenant_id": delivery.tenant_id,
            "correlation_id": outcome.correlation_id,
            "sequence": outcome.number,
            "status": outcome.status.value,
            "code": outcome.code,
            "who_acts": outcome.who_acts,
            "errors": [{"field": each.field, "message": each.message} for each in outcome.fields],
            "at": outcome.at,
        }
    )
    return message.model_dump_json(by_alias=True).encode()
