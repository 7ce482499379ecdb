"""A minute of the fault campaign; `make faults` runs all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.campaign import Campaign
from tests.faults.outages import brief_outage_scenarios
from tests.faults.scenarios import quick_scenarios

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]


@pytest.fixture
def campaign() -> Iterator[Campaign]:
    with Campaign(look_up=True) as running:
        yield running


def test_no_mail_is_lost_or_duplicated_under_faults_of_graph_and_hosts(campaign: Campaign) -> None:
    for scenario in quick_scenarios():
        campaign.run(scenario)

    for result in campaign.settle(10):
        assert not result.violations
        assert (result.lost, result.duplicated) == (0, 0)
        # The app searches for a mail for five minutes before it sends it again.
        assert result.statuses["accepted"] + result.statuses["verifying"] == len(result.ids), result
        assert result.statuses["accepted"]


@pytest.mark.timeout(900)
def test_an_outage_of_vault_or_identity_delays_mails_and_nothing_else(campaign: Campaign) -> None:
    for scenario in brief_outage_scenarios():
        campaign.run(scenario)

    for result in campaign.settle(120):
        assert not result.violations
        assert result.statuses["accepted"] == len(result.ids), result
