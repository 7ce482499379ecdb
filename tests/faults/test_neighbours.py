"""Clock differences, suspended hosts and two versions lose no mail."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.deliveries.status import DeliveryStatus
from shared.settings.sending_switch import SendingPause
from tests.fakes import NOON
from tests.faults.hosts import OTHER_CLIENT, Neighbourhood, NewerTexts, write_as_newer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes import FakeServices

MAILS = 12
SEEDS = range(8)


def check(hood: Neighbourhood) -> None:
    assert sorted(row.message_id for row in hood.rows) == sorted(f"m-{number}" for number in range(MAILS))
    ends = {row.message_id: (row.status, hood.sent(row.message_id)) for row in hood.rows}
    assert {end for end in ends.values() if end != (DeliveryStatus.ACCEPTED, 1)} == set(), ends


@pytest.mark.parametrize("seed", SEEDS)
def test_two_clocks(seed: int) -> None:
    hood = Neighbourhood(seed)
    for minutes in (0, -5, 12):
        hood.add_host(timedelta(minutes=minutes))
    hood.queue_mails(MAILS)
    hood.run()

    check(hood)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_suspended_host(seed: int) -> None:
    hood = Neighbourhood(seed)
    for minutes in (0, 1):
        hood.add_host(timedelta(minutes=minutes))
    hood.suspends = True
    hood.queue_mails(MAILS)
    hood.run()

    check(hood)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_versions_at_once(seed: int) -> None:
    hood = Neighbourhood(seed)
    older, newer = hood.add_host(), hood.add_host()
    newer.requests = NewerTexts(hood.stored.requests)  # type: ignore[assignment]

    def as_its_version(host: FakeServices, work: Callable[[], None]) -> None:
        if host is newer:
            write_as_newer(hood, host, work)
        else:
            work()

    hood.checks.append(as_its_version)
    hood.queue_mails(MAILS)
    hood.run()

    check(hood)
    assert hood.touched
    assert {row.message_id for row in hood.rows if row.additions == {"priority": 3}} == hood.touched
    assert older.requests.kept == {}


@pytest.mark.parametrize("seed", SEEDS)
def test_two_installations_on_one_storage_account(seed: int) -> None:
    hood = Neighbourhood(seed)
    hood.add_host()
    theirs = hood.add_host(client_id=OTHER_CLIENT)
    # It is paused, and the pause lies in the storage account of both.
    pause = hood.stored.pause_store.save(SendingPause(NOON, installation=OTHER_CLIENT))

    def changes_nothing(host: FakeServices, work: Callable[[], None]) -> None:
        if host is not theirs:
            work()
            return
        stored = hood.stored
        before = copy.deepcopy(
            (stored.settings.rows, stored.deliveries.rows, stored.requests.kept, stored.vault.secrets)
        )
        asked = len(stored.transport.asked)
        work()
        after = (stored.settings.rows, stored.deliveries.rows, stored.requests.kept, stored.vault.secrets)
        assert after == before
        assert len(stored.transport.asked) == asked

    hood.checks.append(changes_nothing)
    hood.queue_mails(MAILS)
    hood.run()

    check(hood)
    assert hood.stored.pause_store.pause == pause
