"""Everything that is made to go wrong."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.faults.campaign import Scenario, nothing
from tests.local_stack.actors import wait_for
from tests.local_stack.faults import Fault
from tests.local_stack.microsoft365 import Effect
from tests.local_stack.storage_gates import ANSWERS_LOST, AWAY, BUSY, SLOW, Outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.campaign import Campaign
    from tests.local_stack.storage_gates import Service

BUTTONS = (
    "throttled",
    "throttled without Retry-After",
    "busy",
    "busy and closed",
    "internal error",
    "bad gateway",
    "timeout",
    "timeout but accepted",
    "accepted with Retry-After",
    "reset",
    "reset but accepted",
    "refused",
    "conflict",
    "token expired",
)
#: After these no mail goes out, and none is tried again.
REFUSALS = ("access denied", "send as denied", "too large", "mailbox full")
DRAFT_STEPS = ("createDraft", "createUploadSession", "uploadChunk", "send")
DRAFT_BUTTONS = ("throttled", "internal error", "timeout but accepted", "reset", "reset but accepted")
SERVICES: tuple[Service, ...] = ("table", "queue", "blob")
OUTAGES = (
    ("away", AWAY, 30.0),
    ("busy", BUSY, 15.0),
    ("slow", SLOW, 20.0),
    ("answers lost", ANSWERS_LOST, 15.0),
)
#: Between the steps of a delivery: the claim is a POST to the table, the completion a DELETE at the queue.
MOMENTS: tuple[tuple[str, Service, Outage], ...] = (
    ("before the claim", "table", Outage(reaches=False, answers=False, delay=4.0, method="POST")),
    ("after the claim", "table", Outage(delay=4.0, method="POST")),
    ("after the row, before the completion", "queue", Outage(delay=4.0, method="DELETE")),
)
#: For so many seconds our hosts leave a mailbox alone that Graph throttled.
PAUSES = {"throttled": 3.0, "throttled without Retry-After": 11.0}
PAST_THE_TIMEOUT_SECONDS = 105.0

type Disturbance = Callable[[Campaign], None]


def press(campaign: Campaign, operation: str, effect: Effect | str, times: int = 3, nth: int = 1) -> None:
    """Press a fault button for the next requests."""
    campaign.stack.microsoft365.faults.add(operation, effect, times=times, nth=nth)


def kill_during(campaign: Campaign, operation: str, *, accepted: bool, nth: int = 1) -> None:
    """Kill every host while Graph has a request in hand, which it carries out or not."""
    effect = Effect(delay=4.0) if accepted else Effect(503, "serviceNotAvailable", delay=4.0)
    press(campaign, operation, effect, times=2, nth=nth)
    try:
        wait_for(lambda: campaign.in_flight(operation) or None, operation, 30)
    except TimeoutError:
        return
    time.sleep(1.0)
    campaign.kill_and_replace()


def kill_at_storage(campaign: Campaign, service: Service, outage: Outage) -> None:
    """Kill every host while a service of storage has a request in hand, which it carries out or not."""
    before = campaign.gates.hits
    with campaign.gates.during(service, outage):
        wait_for(lambda: campaign.gates.hits > before or None, f"a call to {service}", 30)
        time.sleep(1.0)
        campaign.kill_and_replace()


def kill_at_random(campaign: Campaign, times: int = 4) -> None:
    """Kill every host again and again, whatever they are doing."""
    chance = random.Random(4711)
    for _ in range(times):
        time.sleep(chance.uniform(0.1, 2.0))
        campaign.kill_and_replace()


def without_entra(campaign: Campaign) -> None:
    """Start hosts that have no token yet, while Entra is away."""
    press(campaign, "token", "Entra busy", times=0)
    campaign.kill_and_replace()
    time.sleep(5.0)
    campaign.stack.microsoft365.faults.clear()


def slow_entra(campaign: Campaign) -> None:
    """Start hosts that have no token yet, while Entra takes its time."""
    press(campaign, "token", Effect(delay=8.0), times=4)
    campaign.kill_and_replace()


def without_vault(campaign: Campaign, fault: Fault) -> None:
    """Start hosts that have no token yet, while Key Vault fails."""
    campaign.stack.key_vault.faults.add(fault)
    campaign.kill_and_replace()
    time.sleep(5.0)


def without_service(campaign: Campaign, service: Service, outage: Outage, seconds: float) -> None:
    """Let one of storage's services fail for a while; the others go on."""
    with campaign.gates.during(service, outage):
        time.sleep(seconds)


def malformed(campaign: Campaign, count: int = 1000) -> None:
    """Queue messages that are none, by the thousand."""
    chance = random.Random(4711)
    for number in range(count):
        text = bytes(chance.choices(range(32, 127), k=chance.randrange(60))).decode()
        shapes = (text, "{" + text, f'{{"schemaVersion":1,"messageId":"bad:{number}"}}', "[]", "null", "{}")
        campaign.queue_text(chance.choice(shapes))


def pressing(operation: str, button: str, times: int = 3, **mails: Any) -> Scenario:
    """Make a scenario of a fault button."""
    disturb = partial(press, operation=operation, effect=button, times=times)
    return Scenario(f"{operation}: {button}", disturb, pause=PAUSES.get(button, 0.0), **mails)


def killing(operation: str, *, accepted: bool = True, nth: int = 1) -> Disturbance:
    """Make a disturbance of killed hosts."""
    return partial(kill_during, operation=operation, accepted=accepted, nth=nth)


def short() -> list[Scenario]:
    """Return what runs in every test run: a minute's worth."""
    return [
        pressing("sendMail", "timeout but accepted"),
        Scenario("hosts killed after sendMail, before the row", killing("sendMail")),
        Scenario("hosts killed in an upload", killing("uploadChunk", nth=2), small=2, large=2, drafts=True),
        Scenario("the same message twice at once", nothing, small=15, copies=2),
    ]


def everything() -> list[Scenario]:
    """Return the whole campaign."""
    late = partial(press, operation="sendMail", effect=Effect(delay=PAST_THE_TIMEOUT_SECONDS), times=1)
    return [
        Scenario("nothing goes wrong", nothing, small=12, large=2),
        *(pressing("sendMail", button) for button in (*BUTTONS, *REFUSALS)),
        Scenario("sendMail: answers after our timeout", late, small=2),
        *(
            pressing(step, button, times=2, small=1, large=2, drafts=True)
            for step in DRAFT_STEPS
            for button in DRAFT_BUTTONS
        ),
        *short()[1:],
        Scenario("hosts killed before Graph took the mail", killing("sendMail", accepted=False)),
        Scenario("hosts killed at createDraft", killing("createDraft"), small=1, large=2, drafts=True),
        Scenario("hosts killed after send", killing("send"), small=1, large=2, drafts=True),
        Scenario("hosts killed before send", killing("send", accepted=False), small=1, large=2, drafts=True),
        *(
            Scenario(f"hosts killed {words}", partial(kill_at_storage, service=service, outage=outage))
            for words, service, outage in MOMENTS
        ),
        Scenario("hosts killed at random", kill_at_random, small=40, large=2),
        Scenario("Entra away", without_entra),
        Scenario("Entra slow", slow_entra),
        Scenario("Key Vault away", partial(without_vault, fault=Fault(503, times=12, path="/secrets/"))),
        Scenario(
            "Key Vault slow", partial(without_vault, fault=Fault(200, delay=4, times=12, path="/secrets/"))
        ),
        *(
            Scenario(
                f"{service}s {words}",
                partial(without_service, service=service, outage=outage, seconds=seconds),
                small=12,
                large=2,
            )
            for service in SERVICES
            for words, outage, seconds in OUTAGES
        ),
        Scenario("storage slow", lambda campaign: campaign.freeze_storage(12.0), small=20, large=1),
        Scenario("storage away", lambda campaign: campaign.freeze_storage(90.0), small=20, large=1),
        Scenario("a thousand malformed messages", malformed, small=10),
        Scenario("a thousand mails, two hosts", nothing, small=1000),
    ]
