"""The shapes that several answers share: problems, and a pause of sending."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import ConfigDict

from shared.contract import Contract
from shared.problems import Actor
from shared.web.problem_document import problem_type

if TYPE_CHECKING:
    from shared.problems import Problem
    from shared.settings.sending_switch import SendingPause
    from shared.settings.tenant import StandingProblem


class ProblemView(Contract):
    """What is wrong, and who must act before it works again."""

    type: str
    title: str
    detail: str
    code: str
    who_acts: Actor


class StandingProblemView(ProblemView):
    """A problem that lasts: since when, and Microsoft's id of the failed call, for their support."""

    since: datetime
    correlation_id: str | None


class BrokenField(Contract):
    """One broken field of a request."""

    field: str
    message: str


class ProblemDocument(ProblemView):
    """A problem as the whole answer (RFC 9457).

    `code` says which problem it is. `traceId` names the request in the operator's log. `errors` is there only
    where fields of the request are broken.
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
        detail=problem.sentence,
        code=problem.code,
        who_acts=problem.who_acts,
    )


def standing_problem_view(standing: StandingProblem) -> StandingProblemView:
    """Show a problem that lasts."""
    shown = problem_view(standing.problem)
    return StandingProblemView(
        **shown.model_dump(), since=standing.since, correlation_id=standing.correlation_id
    )


class SendingPauseView(Contract):
    """Since when the operator has paused sending for the whole installation, and why, if that was said."""

    since: datetime
    reason: str | None


def sending_pause_view(pause: SendingPause | None) -> SendingPauseView | None:
    """Show a pause; None while mail is sent."""
    return None if pause is None else SendingPauseView(since=pause.since, reason=pause.reason)
