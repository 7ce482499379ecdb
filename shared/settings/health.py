"""Notice what a failed token request says about a consent, and keep it in the settings.

News about an older consent than the present one changes nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError, ConsentRequiredError
from shared.settings.state import lose_consent, note_operator_error
from shared.settings.tenant import StandingProblem
from shared.settings.update import update_settings
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.errors import ProblemError
    from shared.ports import SettingsStore
    from shared.world import World


def note_failure(
    store: SettingsStore, tenant_id: str, generation: int, error: ProblemError, world: World
) -> None:
    """Keep a lost consent or an operator's error where the settings page shows it."""
    change, event = {
        ConsentRequiredError: (lose_consent, Event.CONSENT_LOST),
        ConfigurationError: (note_operator_error, Event.OPERATOR_ERROR),
    }[type(error)]
    problem = standing(error, world)
    update_settings(store, tenant_id, lambda settings: change(settings, generation, problem))
    log_event(
        event, level=logging.ERROR, tenant_id=tenant_id, problem=error.code, request_id=error.request_id
    )


def standing(error: ProblemError, world: World) -> StandingProblem:
    """Make a problem that lasts out of an error."""
    return StandingProblem(error.code, world.now(), error.facts, error.request_id)
