"""The shapes of the delivery log's API: who got a mail is shown as counts and domains, never its text."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.contract import Contract
from shared.deliveries.delivery import DeliveryStatus
from shared.web.contract import ProblemView, problem_view

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery


class AudienceView(Contract):
    """How many get the mail, and at which domains."""

    to: int
    cc: int
    bcc: int
    domains: tuple[str, ...]


class FieldView(Contract):
    """One broken field of an invalid message."""

    field: str
    message: str


class StepView(Contract):
    """One thing that happened to the mail."""

    at: datetime
    status: DeliveryStatus
    code: str | None
    graph_request_id: str | None


class DeliverySummary(Contract):
    """One mail in a list."""

    message_id: str
    status: DeliveryStatus
    final: bool
    queued_at: datetime
    updated_at: datetime
    from_email_address: str | None
    recipients: AudienceView
    attempt: int
    next_attempt_at: datetime | None
    correlation_id: str | None
    problem: ProblemView | None


class DeliveryView(DeliverySummary):
    """One mail with its history."""

    errors: tuple[FieldView, ...]
    history: tuple[StepView, ...]


class DeliveryListView(Contract):
    """Some mails, newest first, and the token of the next page, if there is one."""

    deliveries: tuple[DeliverySummary, ...]
    continuation_token: str | None


def summary(delivery: Delivery) -> DeliverySummary:
    """Show a mail in a list."""
    return DeliverySummary(**_members(delivery))


def delivery_view(delivery: Delivery) -> DeliveryView:
    """Show a mail with its history."""
    return DeliveryView(
        **_members(delivery),
        errors=tuple(FieldView(field=f.field, message=f.message) for f in delivery.fields),
        history=tuple(
            StepView(at=step.at, status=step.status, code=step.code, graph_request_id=step.request_id)
            for step in delivery.history
        ),
    )


def _members(delivery: Delivery) -> dict[str, Any]:
    audience = delivery.audience
    return {
        "message_id": delivery.message_id,
        "status": delivery.status,
        "final": delivery.status.final,
        "queued_at": delivery.queued_at,
        "updated_at": delivery.updated_at,
        "from_email_address": delivery.from_address,
        "recipients": AudienceView(
            to=audience.to, cc=audience.cc, bcc=audience.bcc, domains=audience.domains
        ),
        "attempt": delivery.attempt,
        "next_attempt_at": delivery.next_attempt_at,
        "correlation_id": delivery.correlation_id,
        "problem": problem_view(delivery.problem.problem) if delivery.problem else None,
    }
