"""Check that every part that the app needs responds.

All parts are checked concurrently, each with its own deadline.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from shared.api.problem_models import ProblemView, SendingPauseView, problem_view, sending_pause_view
from shared.api.request import json_response
from shared.errors import ProblemError
from shared.problems import Problem, explain
from shared.schema import Contract

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from shared.api.request import Request, Response
    from shared.caller import Caller
    from shared.mail_queue import Backlog, Outbox
    from shared.settings.sending_switch import SendingPause, SendingSwitch

_DEADLINE_SECONDS = 5.0


class Ready(Protocol):
    """The ports of the readiness check."""

    @property
    def probes(self) -> Mapping[str, Callable[[], object]]:
        """A call for each part that returns if the part responds."""

    @property
    def switch(self) -> SendingSwitch:
        """Whether sending is paused."""

    @property
    def outbox(self) -> Outbox:
        """The queue and its poison queue."""


class PartView(Contract):
    """One part of the app."""

    status: Literal["ok", "failed"]
    problem: ProblemView | None


class ReadinessView(Contract):
    """Whether mail can be sent, and which part prevents it.

    `sendingPaused` is null while sending is not paused. An app whose sending is paused is `ready`, because
    nothing in it is broken. `poisonQueueLength` and `outboxLength` are null if the queue does not respond,
    and `outboxOldestQueuedAt` is null if no message can be read.
    """

    status: Literal["ready", "not_ready"]
    sending_paused: SendingPauseView | None
    poison_queue_length: int | None
    outbox_length: int | None
    outbox_oldest_queued_at: datetime | None
    parts: dict[str, PartView]


def read_readiness(_request: Request, _caller: Caller, ports: Ready) -> Response:
    """Check every part; 503 if one fails, as load balancers expect."""
    pauses: list[SendingPause | None] = []
    lengths: list[int] = []
    backlogs: list[Backlog] = []
    probes = {
        **ports.probes,
        "switch": lambda: pauses.append(ports.switch.current_pause()),
        "poisonQueue": lambda: lengths.append(ports.outbox.poison_length()),
        "outbox": lambda: backlogs.append(ports.outbox.backlog()),
    }
    parts = {name: _part(problem) for name, problem in probe_all(probes, _DEADLINE_SECONDS).items()}
    ready = all(part.status == "ok" for part in parts.values())
    view = ReadinessView(
        status="ready" if ready else "not_ready",
        sending_paused=sending_pause_view(pauses[0] if pauses else None),
        poison_queue_length=lengths[0] if lengths else None,
        outbox_length=backlogs[0].length if backlogs else None,
        outbox_oldest_queued_at=backlogs[0].oldest_since if backlogs else None,
        parts=parts,
    )
    return json_response(200 if ready else 503, view)


def probe_all(probes: Mapping[str, Callable[[], object]], deadline: float) -> dict[str, Problem | None]:
    """Check every part concurrently; return each part's problem.

    An unexpected error is raised. The thread of a part that does not respond in time ends later, at the
    timeout of the SDK.

    Args:
        probes: a call for each part.
        deadline: the time limit in seconds, which is the same for each.
    """
    end = time.monotonic() + deadline
    threads = ThreadPoolExecutor(len(probes))
    pending = {name: threads.submit(probe) for name, probe in probes.items()}
    threads.shutdown(wait=False)
    return {name: _wait(name, future, end, deadline) for name, future in pending.items()}


def _wait(name: str, future: Future[object], end: float, deadline: float) -> Problem | None:
    try:
        future.result(max(0.0, end - time.monotonic()))
    except TimeoutError:
        return explain("no_answer_in_time", part=name, seconds=f"{deadline:g}")
    except ProblemError as error:
        return error.problem
    return None


def _part(problem: Problem | None) -> PartView:
    if problem is None:
        return PartView(status="ok", problem=None)
    return PartView(status="failed", problem=problem_view(problem))
