"""Everything that is made to go wrong."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.faults.campaign import Scenario, nothing
from tests.faults.deployment import CARRIED_OUT, deployments, kill_at_graph
from tests.faults.entra import entra_scenarios
from tests.faults.memory import memory_scenarios
from tests.faults.outages import outages
from tests.faults.refusals import refused_mails
from tests.faults.slowness import slowness
from tests.faults.storage import storage_scenarios
from tests.faults.timeout import timeout_scenarios
from tests.local_stack.microsoft365 import Effect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.campaign import Campaign

FAULT_EFFECTS = (
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
#: None is believed at once, but for `too large`.
REFUSALS = ("access denied", "send as denied", "too large", "mailbox full")
#: Answers that say nothing of the message: its mail is tried again and goes out.
PASSING = (
    "ErrorMailboxMoveInProgress",
    "ErrorTooManyObjectsOpened",
    "serviceReadOnly",
    "HTTP 402",
    "HTTP 403 page",
    "HTTP 409 empty",
    "HTTP 422",
    "token revoked",
)
DRAFT_STEPS = ("createDraft", "createUploadSession", "uploadChunk", "send")
DRAFT_BUTTONS = ("throttled", "internal error", "timeout but accepted", "reset", "reset but accepted")
#: For so many seconds our hosts leave a mailbox alone that Graph throttled.
PAUSES = {"throttled": 3.0, "throttled without Retry-After": 11.0}
PAST_THE_TIMEOUT_SECONDS = 105.0

type Disturbance = Callable[[Campaign], None]


def press(campaign: Campaign, operation: str, effect: Effect | str, times: int = 3, nth: int = 1) -> None:
    """Add a fault for the next requests."""
    campaign.stack.microsoft365.faults.add(operation, effect, times=times, nth=nth)


def kill_at_random(campaign: Campaign, times: int = 4) -> None:
    """Kill every host again and again, whatever they are doing."""
    chance = random.Random(4711)
    for _ in range(times):
        time.sleep(chance.uniform(0.1, 2.0))
        campaign.kill_and_replace()


def without_entra(campaign: Campaign) -> None:
    """Start hosts that have no token yet, while Entra is unavailable."""
    press(campaign, "token", "Entra busy", times=0)
    campaign.kill_and_replace()
    time.sleep(5.0)
    campaign.stack.microsoft365.faults.clear()


def slow_entra(campaign: Campaign) -> None:
    """Start hosts without tokens while Entra is slow."""
    press(campaign, "token", Effect(delay=8.0), times=4)
    campaign.kill_and_replace()


def over_the_upload_limit(campaign: Campaign) -> None:
    """Limit uploads in five seconds to less than the files of two mails."""
    campaign.limit_uploads(10_000_000, 5.0)


def without_room_for_the_key(campaign: Campaign, also: Disturbance = nothing) -> None:
    """Fill the named properties of the mailbox during another fault."""
    campaign.allow_named_properties(allowed=False)
    also(campaign)


def malformed(campaign: Campaign, count: int = 1000) -> None:
    """Queue messages that are none, by the thousand."""
    chance = random.Random(4711)
    for number in range(count):
        text = bytes(chance.choices(range(32, 127), k=chance.randrange(60))).decode()
        shapes = (text, "{" + text, f'{{"schemaVersion":1,"messageId":"bad:{number}"}}', "[]", "null", "{}")
        campaign.queue_text(chance.choice(shapes))


def pressing(operation: str, button: str, times: int = 3, **mails: Any) -> Scenario:
    """Return a scenario for a named fault."""
    disturb = partial(press, operation=operation, effect=button, times=times)
    return Scenario(f"{operation}: {button}", disturb, pause=PAUSES.get(button, 0.0), **mails)


def without_key() -> list[Scenario]:
    """Return the scenarios of a mailbox without room for the mail key."""
    hindrances: dict[str, Disturbance] = {
        "": nothing,
        ", answers lost": partial(press, operation="sendMail", effect="reset but accepted", nth=2),
        ", throttled": partial(press, operation="sendMail", effect="throttled", nth=2),
        ", hosts killed after sendMail": partial(kill_at_graph, operation="sendMail", effect=CARRIED_OUT),
    }
    return [
        Scenario(
            f"no room for named properties{words}",
            partial(without_room_for_the_key, also=also),
            large=1,
            pause=PAUSES["throttled"],
        )
        for words, also in hindrances.items()
    ]


def short() -> list[Scenario]:
    """Return the scenarios of every test run: about a minute."""
    after_send_mail = partial(kill_at_graph, operation="sendMail", effect=CARRIED_OUT)
    in_upload = partial(kill_at_graph, operation="uploadChunk", effect=CARRIED_OUT, nth=2)
    return [
        pressing("sendMail", "timeout but accepted"),
        Scenario("hosts killed after sendMail, before the row", after_send_mail, cause="kill"),
        Scenario("hosts killed in an upload", in_upload, small=2, large=2, drafts=True, cause="kill"),
        Scenario("the same message twice at once", nothing, small=15, copies=2),
    ]


def everything() -> list[Scenario]:
    """Return the whole campaign."""
    late = partial(press, operation="sendMail", effect=Effect(delay=PAST_THE_TIMEOUT_SECONDS), times=1)
    return [
        Scenario("nothing goes wrong", nothing, small=12, large=2),
        *(pressing("sendMail", button) for button in (*FAULT_EFFECTS, *REFUSALS, *PASSING)),
        Scenario("sendMail: answers after our timeout", late, small=2),
        *(
            pressing(step, button, times=2, small=1, large=2, drafts=True)
            for step in DRAFT_STEPS
            for button in DRAFT_BUTTONS
        ),
        Scenario(
            "more bytes than Graph takes in a while", over_the_upload_limit, small=2, large=3, drafts=True
        ),
        *refused_mails(),
        *short()[1:],
        *deployments(),
        *without_key(),
        Scenario("hosts killed at random", kill_at_random, small=40, large=2, cause="kill"),
        Scenario("Entra away", without_entra),
        Scenario("Entra slow", slow_entra),
        *entra_scenarios(),
        *outages(),
        *storage_scenarios(),
        *slowness(),
        Scenario("a thousand malformed messages", malformed, small=10),
        *memory_scenarios(),
        *timeout_scenarios(),
        Scenario("a thousand mails, two hosts", nothing, small=1000),
    ]
