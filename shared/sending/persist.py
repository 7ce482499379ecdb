"""Retry writes to storage for as long as one attempt can wait."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError, ProblemError, TransientError
from shared.time_limit import seconds_left

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.system import System

#: Less if the time limit of the invocation is earlier.
PATIENCE = timedelta(minutes=1)
_FIRST_WAIT = 1.0
_MAX_WAIT = 15.0


class NotRecordedError(Exception):
    """Storage failed to record something.

    The write may have been carried out.
    """

    def __init__(self, problem: ProblemError) -> None:
        super().__init__(str(problem))
        self.problem = problem


def problem_of(error: NotRecordedError | ProblemError) -> ProblemError:
    """Return why something was not recorded."""
    return error.problem if isinstance(error, NotRecordedError) else error


def _allows(wait: float) -> bool:
    """Return whether the time limit allows such a wait."""
    try:
        left = seconds_left()
    except TransientError:
        return False
    return left is None or wait < left


def persist[Answer](write: Callable[[], Answer], system: System) -> Answer:
    """Repeat an idempotent write until storage responds.

    Raises:
        NotRecordedError: storage does not respond for a minute, or the operator has to act.
    """
    until = system.steady() + PATIENCE
    wait = _FIRST_WAIT
    while True:
        try:
            return write()
        except ConfigurationError as error:
            raise NotRecordedError(error) from error
        except TransientError as error:
            if system.steady() + timedelta(seconds=wait) >= until or not _allows(wait):
                raise NotRecordedError(error) from error
        system.sleep(wait)
        wait = min(2 * wait, _MAX_WAIT)
