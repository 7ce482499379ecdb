"""Define shapes that several responses share: problems and a pause."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import ConfigDict

from shared.api.problem_details import problem_type
from shared.problems import Actor
from shared.schema import Contract

if TYPE_CHECKING:
    from shared.problems import Problem
    from shared.settings.sending_switch import SendingPause
    from shared.settings.tenant import ActiveProblem


class ProblemView(Contract):
    """What is wrong, and who must act."""

    type: str
    title: str
    detail: str
    code: str
    who_acts: Actor


class StandingProblemView(ProblemView):
    """A problem that lasts until somebody acts.

    `since` is when it began. `correlationId` is Microsoft's id of the failed call, for Microsoft's support.
    """

    since: datetime
    correlation_id: str | None


class BrokenField(Contract):
    """An invalid field of a request."""

    field: str
    message: str


class ProblemDocument(ProblemView):
    """A problem as the whole response (RFC 9457).

    `code` identifies the problem. `traceId` names the request in the operator's log. `errors` is present only
    if fields of the request are invalid.
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    status: int
    trace_id: str
    errors: tuple[BrokenField, ...] = ()


def problem_view(problem: Problem) -> ProblemView:
    """Show a problem."""
    return ProblemView(
        type=problem_type(problem),
        title=problem.title,
        detail=problem.detail,
        code=problem.code,
        who_acts=problem.who_acts,
    )


def active_problem_view(active: ActiveProblem) -> StandingProblemView:
    """Show a recorded problem."""
    shown = problem_view(active.problem)
    return StandingProblemView(**shown.model_dump(), since=active.since, correlation_id=active.correlation_id)


class SendingPauseView(Contract):
    """The operator's pause of sending: its start and reason, if given."""

    since: datetime
    reason: str | None


def sending_pause_view(pause: SendingPause | None) -> SendingPauseView | None:
    """Show a pause; None while sending is not paused."""
    return None if pause is None else SendingPauseView(since=pause.since, reason=pause.reason)
