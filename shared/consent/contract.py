"""The shapes of the consent API."""

from __future__ import annotations

from datetime import datetime

from shared.consent.flow import ConsentFlow, FlowStatus
from shared.contract import Contract
from shared.problems import explain
from shared.web.contract import ProblemView, problem_view


class FlowView(Contract):
    """How a consent stands."""

    flow_id: str
    status: FlowStatus
    expires_at: datetime
    problem: ProblemView | None


def flow_view(flow: ConsentFlow, now: datetime) -> FlowView:
    """Show a consent to its admin."""
    status = flow.status_at(now)
    problem = flow.problem.problem if flow.problem else None
    if problem is None and status is FlowStatus.EXPIRED:
        problem = explain("consent_expired")
    return FlowView(
        flow_id=flow.flow_id,
        status=status,
        expires_at=flow.expires_at,
        problem=problem_view(problem) if problem else None,
    )
