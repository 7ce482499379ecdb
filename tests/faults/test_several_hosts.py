"""Clock differences, suspended hosts and two versions lose no mail."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.deliveries.status import DeliveryStatus
from shared.settings.sending_switch import SendingPause
from tests.fakes import NOON
from tests.faults.hosts import OTHER_CLIENT, HostCluster, NewerRequests, write_as_newer_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes import FakeServices

MAILS = 12
SEEDS = range(8)


def check(cluster: HostCluster) -> None:
    assert sorted(row.message_id for row in cluster.rows) == sorted(f"m-{number}" for number in range(MAILS))
    ends = {row.message_id: (row.status, cluster.sent(row.message_id)) for row in cluster.rows}
    assert {end for end in ends.values() if end != (DeliveryStatus.ACCEPTED, 1)} == set(), ends


@pytest.mark.parametrize("seed", SEEDS)
def test_two_clocks(seed: int) -> None:
    cluster = HostCluster(seed)
    for minutes in (0, -5, 12):
        cluster.add_host(timedelta(minutes=minutes))
    cluster.queue_mails(MAILS)
    cluster.run()

    check(cluster)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_suspended_host(seed: int) -> None:
    cluster = HostCluster(seed)
    for minutes in (0, 1):
        cluster.add_host(timedelta(minutes=minutes))
    cluster.suspends = True
    cluster.queue_mails(MAILS)
    cluster.run()

    check(cluster)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_versions_at_once(seed: int) -> None:
    cluster = HostCluster(seed)
    older, newer = cluster.add_host(), cluster.add_host()
    newer.requests = NewerRequests(cluster.stored.requests)  # type: ignore[assignment]

    def as_its_version(host: FakeServices, work: Callable[[], None]) -> None:
        if host is newer:
            write_as_newer_version(cluster, host, work)
        else:
            work()

    cluster.checks.append(as_its_version)
    cluster.queue_mails(MAILS)
    cluster.run()

    check(cluster)
    assert cluster.touched
    assert {row.message_id for row in cluster.rows if row.additions == {"priority": 3}} == cluster.touched
    assert older.requests.kept == {}


@pytest.mark.parametrize("seed", SEEDS)
def test_two_installations_on_one_storage_account(seed: int) -> None:
    cluster = HostCluster(seed)
    cluster.add_host()
    theirs = cluster.add_host(client_id=OTHER_CLIENT)
    # It is paused, and the pause lies in the storage account of both.
    pause = cluster.stored.pause_store.save(SendingPause(NOON, installation=OTHER_CLIENT))

    def changes_nothing(host: FakeServices, work: Callable[[], None]) -> None:
        if host is not theirs:
            work()
            return
        stored = cluster.stored
        before = copy.deepcopy(
            (stored.settings.rows, stored.deliveries.rows, stored.requests.kept, stored.vault.secrets)
        )
        calls_before = len(stored.transport.calls)
        work()
        after = (stored.settings.rows, stored.deliveries.rows, stored.requests.kept, stored.vault.secrets)
        assert after == before
        assert len(stored.transport.calls) == calls_before

    cluster.checks.append(changes_nothing)
    cluster.queue_mails(MAILS)
    cluster.run()

    check(cluster)
    assert cluster.stored.pause_store.pause == pause
