"""All scenarios of the fault campaign."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.faults.campaign import Scenario, no_fault
from tests.faults.deployment import CARRIED_OUT, deployment_scenarios, kill_at_graph
from tests.faults.entra import entra_scenarios
from tests.faults.memory import memory_scenarios
from tests.faults.outages import outage_scenarios
from tests.faults.refusals import refused_mail_scenarios
from tests.faults.slowness import slowness_scenarios
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
#: Only `too large` is final at once.
REFUSALS = ("access denied", "send as denied", "too large", "mailbox full")
#: Responses that do not concern the message: its mail is tried again and sent.
TEMPORARY = (
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
#: The seconds for which the hosts send nothing to a throttled mailbox.
PAUSES = {"throttled": 3.0, "throttled without Retry-After": 11.0}
PAST_THE_TIMEOUT_SECONDS = 105.0

type Injection = Callable[[Campaign], None]


def add_fault(campaign: Campaign, operation: str, effect: Effect | str, times: int = 3, nth: int = 1) -> None:
    """Add a fault for the next requests."""
    campaign.stack.microsoft365.faults.add(operation, effect, times=times, nth=nth)


def kill_at_random(campaign: Campaign, times: int = 4) -> None:
    """Kill every host several times at random moments."""
    rng = random.Random(4711)
    for _ in range(times):
        time.sleep(rng.uniform(0.1, 2.0))
        campaign.kill_and_replace()


def without_entra(campaign: Campaign) -> None:
    """Start hosts that have no token yet, while Entra is unavailable."""
    add_fault(campaign, "token", "Entra busy", times=0)
    campaign.kill_and_replace()
    time.sleep(5.0)
    campaign.stack.microsoft365.faults.clear()


def slow_entra(campaign: Campaign) -> None:
    """Start hosts without tokens while Entra is slow."""
    add_fault(campaign, "token", Effect(delay=8.0), times=4)
    campaign.kill_and_replace()


def over_the_upload_limit(campaign: Campaign) -> None:
    """Limit uploads in five seconds to less than the files of two mails."""
    campaign.limit_uploads(10_000_000, 5.0)


def without_room_for_the_key(campaign: Campaign, also: Injection = no_fault) -> None:
    """Allow no further named property in the mailbox, with another fault."""
    campaign.allow_named_properties(allowed=False)
    also(campaign)


def queue_malformed_messages(campaign: Campaign, count: int = 1000) -> None:
    """Queue a thousand texts that are no valid messages."""
    rng = random.Random(4711)
    for number in range(count):
        text = bytes(rng.choices(range(32, 127), k=rng.randrange(60))).decode()
        shapes = (text, "{" + text, f'{{"schemaVersion":1,"messageId":"bad:{number}"}}', "[]", "null", "{}")
        campaign.queue_text(rng.choice(shapes))


def fault_scenario(operation: str, button: str, times: int = 3, **mails: Any) -> Scenario:
    """Return a scenario for a named fault."""
    inject = partial(add_fault, operation=operation, effect=button, times=times)
    return Scenario(f"{operation}: {button}", inject, pause=PAUSES.get(button, 0.0), **mails)


def no_mail_key_scenarios() -> list[Scenario]:
    """Return the scenarios of a mailbox without room for the mail key."""
    further_faults: dict[str, Injection] = {
        "": no_fault,
        ", responses lost": partial(add_fault, operation="sendMail", effect="reset but accepted", nth=2),
        ", throttled": partial(add_fault, operation="sendMail", effect="throttled", nth=2),
        ", hosts killed after sendMail": partial(kill_at_graph, operation="sendMail", effect=CARRIED_OUT),
    }
    return [
        Scenario(
            f"no room for named properties{words}",
            partial(without_room_for_the_key, also=fault),
            large=1,
            pause=PAUSES["throttled"],
        )
        for words, fault in further_faults.items()
    ]


def quick_scenarios() -> list[Scenario]:
    """Return the scenarios of every test run: about a minute."""
    after_send_mail = partial(kill_at_graph, operation="sendMail", effect=CARRIED_OUT)
    in_upload = partial(kill_at_graph, operation="uploadChunk", effect=CARRIED_OUT, nth=2)
    return [
        fault_scenario("sendMail", "timeout but accepted"),
        Scenario("hosts killed after sendMail, before the row", after_send_mail, cause="kill"),
        Scenario("hosts killed in an upload", in_upload, small=2, large=2, drafts=True, cause="kill"),
        Scenario("the same message twice at once", no_fault, small=15, copies=2),
    ]


def all_scenarios() -> list[Scenario]:
    """Return the whole campaign."""
    late = partial(add_fault, operation="sendMail", effect=Effect(delay=PAST_THE_TIMEOUT_SECONDS), times=1)
    return [
        Scenario("no fault", no_fault, small=12, large=2),
        *(fault_scenario("sendMail", button) for button in (*FAULT_EFFECTS, *REFUSALS, *TEMPORARY)),
        Scenario("sendMail: responds after our timeout", late, small=2),
        *(
            fault_scenario(step, button, times=2, small=1, large=2, drafts=True)
            for step in DRAFT_STEPS
            for button in DRAFT_BUTTONS
        ),
        Scenario(
            "more bytes than Graph takes in a period", over_the_upload_limit, small=2, large=3, drafts=True
        ),
        *refused_mail_scenarios(),
        *quick_scenarios()[1:],
        *deployment_scenarios(),
        *no_mail_key_scenarios(),
        Scenario("hosts killed at random", kill_at_random, small=40, large=2, cause="kill"),
        Scenario("Entra unavailable", without_entra),
        Scenario("Entra slow", slow_entra),
        *entra_scenarios(),
        *outage_scenarios(),
        *storage_scenarios(),
        *slowness_scenarios(),
        Scenario("a thousand malformed messages", queue_malformed_messages, small=10),
        *memory_scenarios(),
        *timeout_scenarios(),
        Scenario("a thousand mails, two hosts", no_fault, small=1000),
    ]
