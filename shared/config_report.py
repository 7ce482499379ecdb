"""Log what is wrong with the app settings, at start and by a timer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.app_settings_reader import OtherProviderError
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.errors import ConfigurationError


def report_settings(problems: Iterable[ConfigurationError]) -> None:
    """Log each wrong setting by its name.

    That another provider is configured is no error, and is not logged.
    """
    for problem in problems:
        if not isinstance(problem, OtherProviderError):
            log_event(Event.OPERATOR_ERROR, level=logging.ERROR, problem=problem.code, **problem.params)
