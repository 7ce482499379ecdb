"""Mails that Graph refuses and still sends, and late copies.

Each way of sending (one request, draft, upload) with each refusal that users report.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from tests.faults.campaign import Scenario
from tests.local_stack.microsoft365 import Effect

if TYPE_CHECKING:
    from tests.faults.campaign import Campaign

#: The seconds for which the hosts then send nothing to the mailbox.
_CARRIED_OUT = {
    "throttled but accepted": 3.0,
    "throttled page but accepted": 11.0,
    "too many at once but accepted": 11.0,
    "busy but accepted": 0.0,
    "busy page but accepted": 0.0,
}
#: As it was reported of a large mail.
LATE_SECONDS = 120.0
REPLICA_LAG_SECONDS = 3.0
NO_DRAFT = Effect(404, "ErrorItemNotFound", accepted=True)


def refuse_but_accept(campaign: Campaign, operation: str, effect: Effect | str, **behaviour: Any) -> None:
    """Respond with an error to the next requests but carry them out."""
    vars(campaign.stack.microsoft365.behaviour).update(behaviour)
    campaign.stack.microsoft365.faults.add(operation, effect, times=3)


def change_behaviour(campaign: Campaign, **behaviour: Any) -> None:
    """Change the behaviour of Exchange and count it as a fault."""
    vars(campaign.stack.microsoft365.behaviour).update(behaviour)
    campaign.count_faults(1)


def refused_mail_scenarios() -> list[Scenario]:
    """Return a scenario for each refusal and way of sending."""
    late: dict[str, Any] = {"sent_items_lag": LATE_SECONDS}
    outbox: dict[str, Any] = {"transit_folder": "outbox", **late}
    return [
        *(_small(button, button, pause) for button, pause in _CARRIED_OUT.items()),
        _small("busy but accepted, copies late", "busy but accepted", **late),
        _small("busy but accepted, in the Outbox", "busy page but accepted", **outbox),
        *(_drafts(button, button, pause) for button, pause in _CARRIED_OUT.items()),
        _drafts("busy but accepted, copies late", "busy but accepted", **late),
        _drafts("busy but accepted, in the Outbox", "busy page but accepted", **outbox),
        _drafts("404 on its way", NO_DRAFT, **late),
        Scenario(
            "drafts and sessions that are not found for a moment",
            partial(change_behaviour, replica_lag=REPLICA_LAG_SECONDS),
            small=1,
            medium=1,
            large=1,
            drafts=True,
        ),
    ]


def _small(words: str, effect: Effect | str, pause: float = 0.0, **behaviour: Any) -> Scenario:
    inject = partial(refuse_but_accept, operation="sendMail", effect=effect, **behaviour)
    return Scenario(f"sendMail: {words}", inject, small=3, pause=pause, all_accepted=True)


def _drafts(words: str, effect: Effect | str, pause: float = 0.0, **behaviour: Any) -> Scenario:
    inject = partial(refuse_but_accept, operation="send", effect=effect, **behaviour)
    return Scenario(
        f"send: {words}", inject, small=0, medium=2, large=1, drafts=True, pause=pause, all_accepted=True
    )
