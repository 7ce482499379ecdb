"""Define the response models of the deliveries API.

Recipients are shown as counts and domains; the text of a mail is never shown.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from shared.api.problem_models import ProblemView, StandingProblemView, active_problem_view, problem_view
from shared.deliveries.delivery import CONFLICT
from shared.deliveries.forecast import NO_FORECAST
from shared.deliveries.outcome_report import NOT_OFFERED
from shared.deliveries.status import DeliveryStatus
from shared.problems import explain
from shared.schema import Contract
from shared.settings.tenant import ActiveProblem

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.deliveries.forecast import Forecast


class AudienceView(Contract):
    """The number of recipients, and their domains."""

    to: int = Field(description="Number of addresses in `to`.")
    cc: int = Field(description="Number of addresses in `cc`.")
    bcc: int = Field(description="Number of addresses in `bcc`.")
    domains: tuple[str, ...] = Field(
        description="The domains of the recipients in alphabetical order; if there are many, not all."
    )


class FieldView(Contract):
    """One invalid field of an invalid message."""

    field: str = Field(description="The dotted path of the field, such as `attachments.0.blob`.")
    message: str = Field(description="What is wrong with it.")


class StepView(Contract):
    """One step of the mail's processing."""

    at: datetime = Field(description="Time of the step.")
    status: DeliveryStatus = Field(description="The status after the step.")
    code: str | None = Field(description="The code of the problem, if there was one.")
    graph_request_id: str | None = Field(description="Graph's request id, for Microsoft support.")
    content_hashes: tuple[str, ...] = Field(
        description="For a conflict: the hash of this mail's content, then of the refused content."
    )
    maybe_accepted: bool = Field(
        description=(
            "True if the mail may have been accepted before: Microsoft 365 refused it, which does not prove "
            "that it was not sent, and the app cannot look it up in the mailbox (no `Mail.ReadWrite`, or no "
            "copy saved). It is sent again, so recipients may get it twice."
        )
    )


class DeliverySummary(Contract):
    """One mail in a list."""

    message_id: str = Field(description="The scheduler's own id of the mail.")
    status: DeliveryStatus = Field(description="The current status of the mail.")
    final: bool = Field(description="True if the status no longer changes automatically.")
    queued_at: datetime = Field(description="Time at which the mail was first received from the queue.")
    updated_at: datetime = Field(description="Time of the last change of its status.")
    from_email_address: str | None = Field(
        description="The address from which the mail is sent; null before its first attempt."
    )
    recipients: AudienceView = Field(description="Number and domains of the recipients.")
    attempt: int = Field(description="The number of the current or last attempt; the first is 1.")
    next_attempt_at: datetime | None = Field(description="Time of the next attempt; null if none is set.")
    predicted_at: datetime | None = Field(
        description=(
            "Estimated time of sending, for a mail that waits for the mailbox's rate limit; null if it is "
            "not known. A pause that Microsoft 365 asks for, a retry or a test mail delays it."
        )
    )
    mails_before: int | None = Field(
        description="Estimated number of mails of the same mailbox that are sent before this one."
    )
    likely_to_expire_at: datetime | None = Field(
        description=(
            "When the mail expires (at its `expiresAt`, or after a day), if the rate limit allows it only "
            "after that; null if it is sent in time."
        )
    )
    correlation_id: str | None = Field(description="The scheduler's own id of a run.")
    problem: ProblemView | None = Field(
        description="Why the mail is not sent, and who must act; null if there is no problem."
    )
    conflict: StandingProblemView | None = Field(
        description="Another mail with the same id and different content was queued, and was not sent."
    )
    warnings: tuple[StandingProblemView, ...] = Field(
        description="Problems of the mail that do not prevent sending."
    )


class OutcomeView(Contract):
    """Where the outcome of the mail is reported."""

    queue: str = Field(description="The queue that the message names.")
    sequence: int = Field(description="Number of outcomes of the mail so far; 0 before the first.")
    told: bool = Field(
        description="True if each of these outcomes was put on the queue; false without such a queue."
    )


class DeliveryView(DeliverySummary):
    """One mail with its history."""

    errors: tuple[FieldView, ...] = Field(description="The invalid fields of an invalid message.")
    history: tuple[StepView, ...] = Field(
        description="The latest 40 steps, oldest first; 10 of a delivery that is too long to be stored."
    )
    outcome: OutcomeView | None = Field(
        description="Where the outcome is reported; null if the message names no `outcomeQueue`."
    )


class DeliveryListView(Contract):
    """A page of mails, newest first, and the token of the next page."""

    deliveries: tuple[DeliverySummary, ...]
    continuation_token: str | None


def summary(delivery: Delivery, forecast: Forecast = NO_FORECAST) -> DeliverySummary:
    """Show a mail in a list."""
    return DeliverySummary(**_members(delivery, forecast))


def delivery_view(delivery: Delivery, forecast: Forecast = NO_FORECAST) -> DeliveryView:
    """Show a mail with its history."""
    return DeliveryView(
        **_members(delivery, forecast),
        errors=tuple(FieldView(field=f.field, message=f.message) for f in delivery.fields),
        history=tuple(
            StepView(
                at=step.at,
                status=step.status,
                code=step.code,
                graph_request_id=step.request_id,
                content_hashes=step.contents,
                maybe_accepted=step.maybe_sent,
            )
            for step in delivery.history
        ),
        outcome=_outcome(delivery),
    )


def _members(delivery: Delivery, forecast: Forecast) -> dict[str, Any]:
    recipients = delivery.recipients
    return {
        "message_id": delivery.message_id,
        "status": delivery.status,
        "final": delivery.status.final,
        "queued_at": delivery.queued_at,
        "updated_at": delivery.updated_at,
        "from_email_address": delivery.from_address,
        "recipients": AudienceView(
            to=recipients.to, cc=recipients.cc, bcc=recipients.bcc, domains=recipients.domains
        ),
        "attempt": delivery.attempt,
        "next_attempt_at": delivery.next_attempt_at,
        "predicted_at": forecast.at,
        "mails_before": forecast.mails_before,
        "likely_to_expire_at": forecast.ends_before,
        "correlation_id": delivery.correlation_id,
        "problem": _problem(delivery),
        "conflict": _conflict(delivery),
        "warnings": tuple(active_problem_view(warning) for warning in delivery.warnings),
    }


def _outcome(delivery: Delivery) -> OutcomeView | None:
    if delivery.outcome_queue is None:
        return None
    offered = all(warning.code != NOT_OFFERED for warning in delivery.warnings)
    told = delivery.outcome_count > 0 and not delivery.unreported_outcomes and offered
    return OutcomeView(queue=delivery.outcome_queue, sequence=delivery.outcome_count, told=told)


def _problem(delivery: Delivery) -> ProblemView | None:
    if delivery.problem:
        return problem_view(delivery.problem.problem)
    if delivery.status is DeliveryStatus.OTHER_VERSION:
        return problem_view(explain("written_by_other_version"))
    return None


def _conflict(delivery: Delivery) -> StandingProblemView | None:
    if delivery.conflict_at is None:
        return None
    return active_problem_view(ActiveProblem(CONFLICT, delivery.conflict_at))
