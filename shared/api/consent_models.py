"""Define the shapes of the consent API."""

from __future__ import annotations

from datetime import datetime

from shared.api.problem_models import ProblemView, problem_view
from shared.consent.flow import ConsentFlow, FlowStage, FlowStatus
from shared.problems import Actor
from shared.schema import Contract, Flag
from shared.sending.diagnostics import Check, CheckName, Outcome


class FlowView(Contract):
    """The state of a consent.

    `stage` says what a pending consent waits for: that the link is opened, that the admin completes
    Microsoft's pages, that Microsoft's directory confirms the permissions (up to two minutes), or that a
    person confirms who signed in with another account than the admin's. It is null once the consent has
    ended.
    """

    flow_id: str
    status: FlowStatus
    stage: FlowStage | None
    expires_at: datetime
    problem: ProblemView | None


class NextPageView(Contract):
    """The URL that the consent window opens next."""

    location: str


class CheckBody(Contract):
    """Options of a check; `sendTestMail` also sends a mail to the caller."""

    send_test_mail: Flag = False


class CheckView(Contract):
    """One check; `detail` is the result, or what the person in charge must do."""

    name: CheckName
    status: Outcome
    detail: str
    who_acts: Actor
    problem: ProblemView | None


class ExaminationView(Contract):
    """Every check, in the order in which they ran."""

    checked_at: datetime
    checks: tuple[CheckView, ...]


def flow_view(flow: ConsentFlow) -> FlowView:
    """Show a consent, whose status was derived from the settings."""
    return FlowView(
        flow_id=flow.flow_id,
        status=flow.status,
        stage=flow.stage if flow.status is FlowStatus.PENDING else None,
        expires_at=flow.expires_at,
        problem=problem_view(flow.problem.problem) if flow.problem else None,
    )


def examination_view(checks: list[Check], now: datetime) -> ExaminationView:
    """Show the results of the diagnostics."""
    return ExaminationView(
        checked_at=now,
        checks=tuple(
            CheckView(
                name=check.name,
                status=check.outcome,
                detail=check.detail,
                who_acts=check.problem.who_acts if check.problem else Actor.NOBODY,
                problem=problem_view(check.problem) if check.problem else None,
            )
            for check in checks
        ),
    )
