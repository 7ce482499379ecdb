"""Log how many mails are queued, and how long the oldest has waited."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.errors import ProblemError
from shared.telemetry import Event, log_event, log_failed_step

if TYPE_CHECKING:
    from shared.sending.ports import SendingServices


def report_backlog(ports: SendingServices) -> None:
    """Log the backlog of `mail-outbox` unless empty; an alert uses the age.

    The age of a delayed mail counts from the time at which it was due, if its requeue message has that time.
    A message without a due time is received soon after it becomes visible, and so is the oldest one only for
    a short time. So the alert requires a high age several times in succession.
    """
    try:
        backlog = ports.outbox.backlog()
    except ProblemError as error:
        log_failed_step("outbox_backlog", error.code)
        return
    if backlog.length:
        since = backlog.oldest_since
        age = max(ports.system.now() - since, timedelta(0)) if since else timedelta(0)
        minutes = age // timedelta(minutes=1)
        log_event(Event.OUTBOX_BACKLOG, level=logging.INFO, length=backlog.length, minutes=minutes)
