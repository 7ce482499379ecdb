"""A function timeout, which ends the process with all its mails."""

from __future__ import annotations

from tests.faults.campaign import Campaign, Scenario
from tests.local_stack.clients import wait_for
from tests.local_stack.microsoft365 import Effect

#: Long enough for the first mail of a new worker, which loads the SDKs.
SETTINGS = {"AzureFunctionsJobHost__functionTimeout": "00:00:15"}
#: Longer than the timeout, the grace period after it and the pause before the next worker.
SLOW_SECONDS = 40.0
TIMEOUT_MESSAGE = "Timeout value of"


def timeout_scenarios() -> list[Scenario]:
    """Return the scenarios of this module."""
    return [Scenario("functionTimeout with mails in flight", exceed_timeout, small=8, settings=SETTINGS)]


def exceed_timeout(campaign: Campaign) -> None:
    """Delay the response to one mail beyond the function timeout."""
    campaign.stack.microsoft365.faults.add("sendMail", Effect(delay=SLOW_SECONDS))
    try:
        wait_for(lambda: TIMEOUT_MESSAGE in campaign.stack.host_log() or None, "a function timeout")
    except TimeoutError as error:
        campaign.report_violation(str(error))
    else:
        campaign.count_faults(1)
