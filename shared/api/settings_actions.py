"""Decide which buttons the settings page enables and what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.api.problem_models import StandingProblemView, standing_problem_view
from shared.schema import Contract
from shared.settings.tenant import ActiveProblem, Status, TenantSettings

if TYPE_CHECKING:
    from datetime import datetime


class Actions(Contract):
    """The buttons that are enabled."""

    enable: bool
    save: bool
    reset: bool
    send_test_mail: bool


def actions_of(settings: TenantSettings) -> Actions:
    """Return the enabled buttons; none if the settings can't be read."""
    status = settings.status
    if status is Status.OTHER_VERSION:
        return Actions(enable=False, save=False, reset=False, send_test_mail=False)
    return Actions(
        enable=status is not Status.ENABLED,
        save=status is not Status.NOT_CONFIGURED,
        reset=status is not Status.NOT_CONFIGURED or settings.pending is not None,
        send_test_mail=status in (Status.ENABLED, Status.SENDER_REFUSED),
    )


def problem_of(settings: TenantSettings, now: datetime) -> StandingProblemView | None:
    """Return the problem that prevents sending, if any.

    Settings that another version wrote count as one.
    """
    problem = settings.problem
    if problem is None and settings.status is Status.OTHER_VERSION:
        problem = ActiveProblem("written_by_other_version", now)
    return standing_problem_view(problem) if problem else None
