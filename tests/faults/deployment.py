"""The effect of a deployment on mails: hosts are killed in each phase.

Flex Consumption's default strategy, *Recreate*, ends running work. Each scenario brings mails into its phase,
kills all hosts and starts new ones. The last one does what the runbook says: pause, wait until nothing is
being sent, deploy, resume.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from tests.faults.campaign import Campaign, Scenario
from tests.local_stack.clients import wait_for
from tests.local_stack.microsoft365 import Effect
from tests.local_stack.operator_commands import operate
from tests.local_stack.storage_gates import Outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local_stack.storage_gates import Service

TIMEOUT_SECONDS = 30.0
#: The concurrent requests of a mailbox; further mails of the same host wait.
SLOTS = 4
#: The claim and every outcome are a POST to the table; the progress of a draft is a PUT to the blobs.
NO_ROW = Outage(reaches=False, responds=False, delay=6.0, method="POST")
NO_PROGRESS = Outage(reaches=False, responds=False, delay=6.0, method="PUT")
CLAIM_RESPONSE_LOST = Outage(delay=4.0, method="POST")
#: The completion is a DELETE at the queue.
COMPLETION_RESPONSE_LOST = Outage(delay=4.0, method="DELETE")
REFUSED = Effect(503, "serviceNotAvailable", delay=4.0)
CARRIED_OUT = Effect(delay=4.0)

type Injection = Callable[[Campaign], None]


def wait_until(true: Callable[[], bool], what: str) -> None:
    wait_for(lambda: true() or None, what, TIMEOUT_SECONDS)


def kill_at_storage(campaign: Campaign, service: Service, outage: Outage) -> None:
    """Kill every host during a storage request, carried out or not."""
    before = campaign.gates.hits
    with campaign.gates.during(service, outage):
        wait_until(lambda: campaign.gates.hits > before, f"a call to {service}")
        time.sleep(1.0)
        campaign.kill_and_replace()


def kill_at_graph(campaign: Campaign, operation: str, effect: Effect, nth: int = 1, at_once: int = 1) -> None:
    """Kill every host during a Graph request, carried out or not."""
    faults = campaign.stack.microsoft365.faults
    before = faults.hits
    faults.add(operation, effect, times=4 * SLOTS, nth=nth)
    wait_until(lambda: faults.hits - before >= at_once, operation)
    time.sleep(1.0)
    campaign.kill_and_replace()


def kill_after_response(
    campaign: Campaign, operation: str, service: Service, outage: Outage, nth: int = 1
) -> None:
    """Kill every host between Graph's response and the write to storage."""
    faults = campaign.stack.microsoft365.faults
    before = faults.hits
    faults.add(operation, CARRIED_OUT, times=4 * SLOTS, nth=nth)
    wait_until(lambda: faults.hits > before, operation)
    kill_at_storage(campaign, service, outage)


def kill_while_waiting_for_a_slot(campaign: Campaign) -> None:
    """Kill every host while mails wait for a call of the same mailbox."""
    behaviour = campaign.stack.microsoft365.behaviour
    usual, behaviour.in_flight_limit = behaviour.in_flight_limit, 2 * SLOTS
    try:
        kill_at_graph(campaign, "sendMail", REFUSED, at_once=SLOTS)
    finally:
        behaviour.in_flight_limit = usual


def deploy_paused(campaign: Campaign) -> None:
    """Follow the runbook while mails are being sent."""
    storage = campaign.stack.azurite.connection_string
    campaign.stack.microsoft365.faults.add("sendMail", CARRIED_OUT, times=2)
    wait_until(lambda: campaign.count("sending") > 0, "a mail that is being sent")
    with ExitStack() as resumed:
        operate(storage, "pause", "--reason", "the fault campaign deploys")
        resumed.callback(operate, storage, "resume")
        operate(storage, "wait")
        campaign.kill_and_replace()


def deployment_scenarios() -> list[Scenario]:
    """Return a scenario for each phase of a small mail and of a draft."""
    small: dict[str, Injection] = {
        "before the claim": partial(kill_at_storage, service="table", outage=NO_ROW),
        "claimed and about to be handed over": partial(
            kill_at_storage, service="table", outage=CLAIM_RESPONSE_LOST
        ),
        "at hand-over, not taken": partial(kill_at_graph, operation="sendMail", effect=REFUSED),
        "at hand-over, taken": partial(kill_at_graph, operation="sendMail", effect=CARRIED_OUT),
        "between 202 and the outcome row": partial(
            kill_after_response, operation="sendMail", service="table", outage=NO_ROW
        ),
        "between the row and the completion": partial(
            kill_at_storage, service="queue", outage=COMPLETION_RESPONSE_LOST
        ),
    }
    draft: dict[str, Injection] = {
        "draft being created": partial(kill_at_graph, operation="createDraft", effect=CARRIED_OUT),
        "draft created": partial(
            kill_after_response, operation="createDraft", service="blob", outage=NO_PROGRESS
        ),
        "between two chunks": partial(kill_at_graph, operation="uploadChunk", effect=CARRIED_OUT, nth=2),
        "draft complete, before /send": partial(
            kill_after_response, operation="uploadChunk", service="blob", outage=NO_PROGRESS, nth=3
        ),
        "at /send, not taken": partial(kill_at_graph, operation="send", effect=REFUSED),
        "at /send, taken": partial(kill_at_graph, operation="send", effect=CARRIED_OUT),
    }
    return [
        *(Scenario(f"deployment: {phase}", inject, cause="kill") for phase, inject in small.items()),
        Scenario(
            "deployment: waiting for a slot at Graph", kill_while_waiting_for_a_slot, small=16, cause="kill"
        ),
        *(
            Scenario(f"deployment: {phase}", inject, small=0, large=1, drafts=True, cause="kill")
            for phase, inject in draft.items()
        ),
        Scenario("deployment: after pause and wait", deploy_paused, small=16, large=2, cause="kill"),
    ]
