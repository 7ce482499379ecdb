"""Tell how many mails wait in the queue, and since when the one that waits longest does."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.errors import ProblemError
from shared.telemetry import Event, log_event, log_failed_step

if TYPE_CHECKING:
    from shared.sending.dependencies import Sending


def report_backlog(ports: Sending) -> None:
    """Log what is in `mail-outbox`, unless it is empty; the alert reads the age.

    A mail that was put off counts from the time to which it was, as far as its note says that. A note for no
    set time is taken once it is visible and stands at the front for a moment only, so the alert wants the age
    to be high several times.
    """
    try:
        backlog = ports.outbox.backlog()
    except ProblemError as error:
        log_failed_step("outbox_backlog", error.code)
        return
    if backlog.length:
        since = backlog.oldest_since
        age = max(ports.world.now() - since, timedelta(0)) if since else timedelta(0)
        minutes = age // timedelta(minutes=1)
        log_event(Event.OUTBOX_BACKLOG, level=logging.INFO, length=backlog.length, minutes=minutes)
