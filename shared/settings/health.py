"""Keep in the settings what stops a tenant's mail: a failed token request, or the operator's list of senders.

News about an older consent than the present one changes nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.errors import ConsentRequiredError, ProblemError
from shared.settings.application import under_list
from shared.settings.state import forget_mailbox_id, lose_consent, note_operator_error
from shared.settings.tenant import StandingProblem
from shared.settings.update import update_settings
from shared.telemetry import Event, log_event, log_failed_step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.ports import SettingsStore
    from shared.settings.tenant import TenantSettings
    from shared.world import World


def note_failure(
    store: SettingsStore, tenant_id: str, generation: int, error: ProblemError, world: World
) -> None:
    """Keep a lost consent or an operator's error where the settings page shows it."""
    lost = isinstance(error, ConsentRequiredError)
    change, event = (
        (lose_consent, Event.CONSENT_LOST) if lost else (note_operator_error, Event.OPERATOR_ERROR)
    )
    problem = standing(error, world)
    update_settings(store, tenant_id, lambda settings: change(settings, generation, problem))
    log_event(
        event, level=logging.ERROR, tenant_id=tenant_id, problem=error.code, request_id=error.request_id
    )


def apply_sender_list(
    settings: TenantSettings, senders: Iterable[str], store: SettingsStore, world: World
) -> TenantSettings:
    """Return the settings under the operator's list of senders, and store what the list changes.

    What can't be stored now is stored the next time: the settings that are returned already say it.
    """
    now = world.now()
    after = under_list(settings, senders, now)
    if after == settings:
        return settings
    if after.problem:
        log_event(
            Event.OPERATOR_ERROR,
            level=logging.ERROR,
            tenant_id=settings.tenant_id,
            problem=after.problem.code,
        )
    try:
        return update_settings(store, settings.tenant_id, lambda found: under_list(found, senders, now))
    except ProblemError as missed:
        log_failed_step("apply_sender_list", missed.code, tenant_id=settings.tenant_id)
        return after


def note_missing_mailbox(store: SettingsStore, tenant_id: str, generation: int) -> None:
    """Have the app name the mailbox by its address from now on, because Graph does not know its object id.

    What can't be stored now is stored when Graph says it again.
    """
    log_failed_step("find_mailbox_by_id", "mailbox_not_found", tenant_id=tenant_id)
    try:
        update_settings(store, tenant_id, lambda settings: forget_mailbox_id(settings, generation))
    except ProblemError as missed:
        log_failed_step("forget_mailbox_id", missed.code, tenant_id=tenant_id)


def standing(error: ProblemError, world: World) -> StandingProblem:
    """Make a problem that lasts out of an error."""
    return StandingProblem(error.code, world.now(), error.facts, error.request_id)
