"""Register the timers of consent."""

from __future__ import annotations

import azure.functions as func

from shared import bootstrap

blueprint = func.Blueprint()


@blueprint.timer_trigger("timer", schedule="0 17 3 * * *")
def keep_consents_alive(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding needs its name
    """Refresh unused consents and delete orphaned tokens."""
    from shared.consent.maintenance import keep_all

    keep_all(bootstrap.services())


@blueprint.timer_trigger("timer", schedule="0 */5 * * * *")
def delete_abandoned_consents(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding needs its name
    """Delete the tokens of consents that were not confirmed in time."""
    from shared.consent.other_account import delete_abandoned

    delete_abandoned(bootstrap.services())
