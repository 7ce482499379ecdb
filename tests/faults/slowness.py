"""Calls slow beyond their limits, eight hosts, and unusual `Retry-After`."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from tests.faults.campaign import Scenario
from tests.faults.storage import inject_storage_outage
from tests.local_stack.clients import wait_for
from tests.local_stack.microsoft365 import Effect
from tests.local_stack.storage_gates import Outage

if TYPE_CHECKING:
    from tests.faults.campaign import Campaign
    from tests.local_stack.storage_gates import Service

#: The app waits 100 s for Graph, 10 s for Entra, 35 s for a write to a table, 20 s for blobs and queues.
GRAPH_SECONDS = 105.0
ENTRA_SECONDS = 15.0
STORAGE_SECONDS: dict[Service, float] = {"table": 40.0, "blob": 25.0, "queue": 25.0}
#: How long storage is that slow; it affects every mail.
SLOW_FOR_SECONDS = 45.0
DRAFT_STEPS = ("createDraft", "attach", "createUploadSession", "uploadChunk", "send")
HOSTS = 8
#: What Exchange documents.
MAILS_A_MINUTE = 30
#: The app retries after ten minutes if it ignores the value; the other values are short.
UNUSUAL_RETRY_AFTER = ("0", "-5", "0.5", "1e9", "nan", "soon", "2, 3", "Wed, 21 Oct 2015 07:28:00 GMT", "")


def slow_graph(campaign: Campaign, operation: str) -> None:
    """Let Graph respond after the client's timeout, and carry out the request."""
    campaign.stack.microsoft365.faults.add(operation, Effect(delay=GRAPH_SECONDS))


def slow_search(campaign: Campaign) -> None:
    """Let Graph be too slow for one of two mailbox searches."""
    graph = campaign.stack.microsoft365
    graph.faults.add("sendMail", "timeout but accepted", times=2)
    slow_graph(campaign, "lookup")
    before = len(graph.requests.all("lookup"))
    wait_for(lambda: len(graph.requests.all("lookup")) > before or None, "a look-up")


def slow_entra(campaign: Campaign) -> None:
    """Start hosts without tokens while every response of Entra is too slow."""
    faults = campaign.stack.microsoft365.faults
    faults.add("token", Effect(delay=ENTRA_SECONDS), times=0)
    campaign.kill_and_replace()
    time.sleep(2 * ENTRA_SECONDS)
    faults.clear()


def slow_schedule(campaign: Campaign) -> None:
    """Make storage too slow for the schedule row while Graph throttles."""
    campaign.stack.microsoft365.faults.add("sendMail", "throttled", times=2)
    outage = Outage(delay=STORAGE_SECONDS["table"], path="schedule")
    inject_storage_outage(campaign, "table", outage, SLOW_FOR_SECONDS)


def limit_rate(campaign: Campaign) -> None:
    """Limit Graph's calls a minute to the documented number of mails."""
    campaign.limit_calls(MAILS_A_MINUTE, 60.0)
    campaign.wait_until_final(300, or_deferred=False)


def throttle_with(campaign: Campaign, text: str) -> None:
    """Throttle some mails with this `Retry-After`; empty for none."""
    message = "Application is over its limit."
    refusal = Effect(429, "ApplicationThrottled", message, text or None)
    campaign.stack.microsoft365.faults.add("sendMail", refusal, times=3)


def unusual_retry_after_scenario(text: str) -> Scenario:
    """Return a scenario for a value of `Retry-After`."""
    inject = partial(throttle_with, text=text)
    return Scenario(f"unusual Retry-After: {text or 'none'}", inject, small=4, all_accepted=True)


def slowness_scenarios() -> list[Scenario]:
    """Return the scenarios of this module."""
    storage = [
        Scenario(
            f"too slow: {service}s",
            partial(
                inject_storage_outage, service=service, outage=Outage(delay=delay), seconds=SLOW_FOR_SECONDS
            ),
            small=6,
            large=1,
            cause="storage",
        )
        for service, delay in STORAGE_SECONDS.items()
    ]
    drafts = [
        Scenario(
            f"too slow: {step}", partial(slow_graph, operation=step), small=1, medium=1, large=1, drafts=True
        )
        for step in DRAFT_STEPS
    ]
    return [
        Scenario("too slow: sendMail", partial(slow_graph, operation="sendMail"), small=3),
        Scenario("too slow: look-up", slow_search, small=3, drafts=True, all_accepted=True),
        *drafts,
        Scenario("too slow: Entra", slow_entra, cause="kill"),
        *storage,
        Scenario("too slow: the schedule's row alone", slow_schedule, small=12, all_accepted=True),
        *(unusual_retry_after_scenario(text) for text in UNUSUAL_RETRY_AFTER),
        Scenario(
            "eight hosts, Graph takes 30 calls a minute", limit_rate, small=60, hosts=HOSTS, all_accepted=True
        ),
    ]
