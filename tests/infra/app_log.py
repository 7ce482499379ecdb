"""The app's log: the real code runs with fakes in memory, and every line is recorded."""

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

type Story = Callable[[FakeServices], None]


class _Keeper(logging.Handler):
    def __init__(self, services: FakeServices) -> None:
        super().__init__()
        self.services = services
        self.lines: list[tuple[datetime, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((self.services.system.now(), record.getMessage()))


def logged(story: Story, **settings: Any) -> list[Row]:
    """Run a story of mails and return its lines as rows of AppTraces; it ends now."""
    services = enabled_services(**settings)
    with _kept(services) as keeper:
        story(services)
    end = services.system.now()
    return [Row("AppTraces", end - time, {"Message": text}) for time, text in keeper.lines]


@contextmanager
def _kept(services: FakeServices) -> Iterator[_Keeper]:
    """Listen where `shared/telemetry.py` writes, at the level that host.json lets pass."""
    logger, keeper = logging.getLogger("mailer"), _Keeper(services)
    level = logger.level
    logger.addHandler(keeper)
    logger.setLevel(logging.INFO)
    try:
        yield keeper
    finally:
        logger.removeHandler(keeper)
        logger.setLevel(level)
