"""Define the messages that notify a scheduler of its mails' outcomes.

Pure. The published JSON Schema, `docs/mail-outcome.schema.json`, is made from these models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import AwareDatetime, Field

from shared.deliveries.outcome_report import MAX_ERRORS
from shared.mail.fields import MessageId, TenantId
from shared.problems import Actor
from shared.schema import Contract

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.deliveries.outcome_report import Outcome


class OutcomeError(Contract):
    """One invalid field of an invalid message."""

    field: str = Field(description="The dotted path of the field, such as `attachments.0.blob`.")
    message: str = Field(description="What is wrong with it.")


class MailOutcome(Contract):
    """A mail's outcome, as a message of the mail's `outcomeQueue`.

    It can arrive twice, with the same `sequence`. It contains no address, subject or text of the mail.
    """

    schema_version: Literal[1] = Field(description="The version of this contract.")
    message_id: MessageId = Field(description="The scheduler's own id of the mail.")
    tenant_id: TenantId = Field(description="The Entra tenant of the mail.")
    correlation_id: str | None = Field(description="The scheduler's own id of a run.")
    sequence: int = Field(
        ge=1,
        description=(
            "The number of the outcome, from 1. A message with the same number reports the same outcome "
            "again. A higher number replaces a lower one: the mail was queued again or retried, or an "
            "unknown outcome has been resolved."
        ),
    )
    status: Literal["accepted", "rejected", "invalid", "expired", "unknown"] = Field(
        description="The final status of the mail."
    )
    code: str | None = Field(
        description="The code of the problem, as in docs/errors.md; null for an accepted mail."
    )
    who_acts: Actor | None = Field(description="Who can solve that problem; null for an accepted mail.")
    errors: tuple[OutcomeError, ...] = Field(
        description=f"The invalid fields of an invalid message, {MAX_ERRORS} at most."
    )
    at: AwareDatetime = Field(description="Time of the outcome.")


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
