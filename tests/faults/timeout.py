"""A function timeout, which ends the process with all its mails."""

from __future__ import annotations

from tests.faults.campaign import Campaign, Scenario
from tests.local_stack.clients import wait_for
from tests.local_stack.microsoft365 import Effect

#: Long enough for the first mail of a new worker, which loads the SDKs.
SETTINGS = {"AzureFunctionsJobHost__functionTimeout": "00:00:15"}
#: Longer than the timeout, the grace that follows it and the pause before the next worker.
SLOW_SECONDS = 40.0
SAID = "Timeout value of"


def timeout_scenarios() -> list[Scenario]:
    """Return the scenarios of this module."""
    return [Scenario("functionTimeout with mails in flight", run_into_it, small=8, settings=SETTINGS)]


def run_into_it(campaign: Campaign) -> None:
    """Have Graph answer one mail so late that its function is ended first."""
    campaign.stack.microsoft365.faults.add("sendMail", Effect(delay=SLOW_SECONDS))
    try:
        wait_for(lambda: SAID in campaign.stack.host_log() or None, "a function to run into its timeout")
    except TimeoutError as error:
        campaign.blame(str(error))
    else:
        campaign.suffer(1)
