"""The app's log lines, recorded from the real code with in-memory fakes."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.builders import enabled_services
from tests.infra.workspace import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from tests.fakes import FakeServices

type Scenario = Callable[[FakeServices], None]


class _RecordingHandler(logging.Handler):
    def __init__(self, services: FakeServices) -> None:
        super().__init__()
        self.services = services
        self.lines: list[tuple[datetime, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((self.services.system.now(), record.getMessage()))


def logged(scenario: Scenario, **settings: Any) -> list[Row]:
    """Run a scenario of mails and return its log as rows of AppTraces.

    The scenario ends at the present time.
    """
    services = enabled_services(**settings)
    with _record_log(services) as handler:
        scenario(services)
    end = services.system.now()
    return [Row("AppTraces", end - time, {"Message": text}) for time, text in handler.lines]


@contextmanager
def _record_log(services: FakeServices) -> Iterator[_RecordingHandler]:
    """Listen to the logger of `shared/telemetry.py` at host.json's level."""
    logger, handler = logging.getLogger("mailer"), _RecordingHandler(services)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
