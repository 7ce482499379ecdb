"""Entra with stale servers and with throttling."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.faults.campaign import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.campaign import Campaign

#: Older than any grant of a campaign.
_ALL_GRANTS = 86_400.0


def stale_servers(campaign: Campaign) -> None:
    """Start hosts without tokens while every second server is stale."""
    behaviour = campaign.stack.microsoft365.behaviour
    with _assert_stays_enabled(campaign):
        behaviour.stale_for = _ALL_GRANTS
        try:
            campaign.kill_and_replace()
            campaign.wait_until_final()
        finally:
            behaviour.stale_for = 0.0


def throttled(campaign: Campaign) -> None:
    """Start hosts without tokens while Entra allows one request a minute.

    Further requests prolong the wait.
    """
    behaviour = campaign.stack.microsoft365.behaviour
    with _assert_stays_enabled(campaign):
        behaviour.token_requests_a_minute = 1
        try:
            campaign.kill_and_replace()
            campaign.wait_until_final()
        finally:
            behaviour.token_requests_a_minute = 0


def entra_scenarios() -> list[Scenario]:
    """Return the scenarios with faults of Entra."""
    return [
        Scenario("Entra's servers are stale", stale_servers, cause="kill", all_accepted=True),
        Scenario("Entra throttles the app", throttled, cause="kill", all_accepted=True),
    ]


@contextmanager
def _assert_stays_enabled(campaign: Campaign) -> Iterator[None]:
    """Check that the settings need no action after the fault."""
    yield
    status = campaign.admin.settings()["status"]
    if status != "enabled":
        campaign.report_violation(f"the settings are {status}")
