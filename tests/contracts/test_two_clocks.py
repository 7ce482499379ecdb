"""Two hosts whose clocks differ judge a mail by storage's clock."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from azure.data.tables import TableEntity, UpdateMode

from shared.adapters.delivery_table import TableDeliveryLog
from shared.adapters.storage_clock import WRITTEN_AT, ResponseTime, convert_to_own_clock
from shared.deliveries.delivery import CLAIM_DURATION, Delivery
from shared.deliveries.status import DeliveryStatus
from shared.deliveries.uncertain_send import UncertainSend
from shared.storage_names import DELIVERIES
from tests.fakes import NOON

if TYPE_CHECKING:
    from tests.contracts.conftest import Tables

NEAR = timedelta(seconds=10)


def host(tables: Tables, ahead: timedelta) -> TableDeliveryLog:
    return TableDeliveryLog(tables, lambda: datetime.now(UTC) + ahead)


@pytest.fixture
def tenant() -> str:
    return str(uuid.uuid4())


def uncertain(tenant: str, now: datetime) -> Delivery:
    row = Delivery(tenant, "m-1", DeliveryStatus.SENDING, now, now, now).with_claim("q-1", now)
    return row.transition(
        DeliveryStatus.VERIFYING,
        now,
        uncertain_send=UncertainSend(now, 1),
        next_attempt_at=now + timedelta(seconds=15),
    )


@pytest.mark.parametrize("ahead", [timedelta(minutes=-5), timedelta(minutes=12), timedelta(days=-1)])
def test_an_uncertain_mail_is_as_old_on_every_hosts_clock(
    tables: Tables, tenant: str, ahead: timedelta
) -> None:
    host(tables, ahead).add(uncertain(tenant, datetime.now(UTC) + ahead))

    found = host(tables, timedelta(0)).find(tenant, "m-1")
    assert found is not None
    assert found.uncertain_send is not None
    assert found.next_attempt_at is not None
    assert abs(datetime.now(UTC) - found.uncertain_send.since) < NEAR
    assert abs(datetime.now(UTC) - found.trying_since) < NEAR
    assert all(abs(datetime.now(UTC) - step.at) < NEAR for step in found.history)
    assert abs(found.next_attempt_at - datetime.now(UTC) - timedelta(seconds=15)) < NEAR


@pytest.mark.parametrize("ahead", [timedelta(minutes=-5), timedelta(minutes=5), timedelta(days=91)])
def test_a_claim_by_a_host_with_another_clock_is_not_of_an_older_version(ahead: timedelta) -> None:
    stamp, there = datetime(2026, 11, 23, 12, tzinfo=UTC), datetime(2026, 11, 23, 12, tzinfo=UTC) + ahead
    row = TableEntity({WRITTEN_AT: there})
    row._metadata = {"etag": "e", "timestamp": stamp}
    claimed = Delivery("t", "m-1", DeliveryStatus.SENDING, there, there, there).with_claim(
        "q-1", there, "c-1"
    )
    claimed = replace(claimed, uncertain_send=UncertainSend(there, worker_began_at=there))

    found = convert_to_own_clock(claimed, row, stamp, stamp)
    assert (found.own_claim, found.claim_ends_at) == ("c-1", stamp + CLAIM_DURATION)
    assert (found.may_have_been_sent, found.updated_at) == (False, stamp)
    assert found.uncertain_send == UncertainSend(stamp, worker_began_at=stamp)


def test_a_host_that_is_twelve_minutes_fast_takes_no_live_claim(tables: Tables, tenant: str) -> None:
    now = datetime.now(UTC)
    slow, fast = host(tables, timedelta(0)), host(tables, timedelta(minutes=12))
    slow.add(Delivery(tenant, "m-1", DeliveryStatus.SENDING, now, now, now).with_claim("q-1", now))

    found = fast.find(tenant, "m-1")
    assert found is not None
    assert found.held_by_another("q-2", now + timedelta(minutes=12))
    assert not found.held_by_another("q-2", now + timedelta(minutes=12) + CLAIM_DURATION + NEAR)


def test_a_row_that_one_host_writes_on_is_read_by_the_other_as_it_is(tables: Tables, tenant: str) -> None:
    slow, fast = host(tables, timedelta(minutes=-5)), host(tables, timedelta(minutes=5))
    slow.add(uncertain(tenant, datetime.now(UTC) - timedelta(minutes=5)))
    for reader in (fast, slow, fast):
        found = reader.find(tenant, "m-1")
        assert found is not None
        reader.save(found)

    found = host(tables, timedelta(0)).find(tenant, "m-1")
    assert found is not None
    assert found.uncertain_send is not None
    assert abs(datetime.now(UTC) - found.uncertain_send.since) < NEAR


def test_a_row_of_a_version_without_the_writers_clock_stays_as_it_is(tables: Tables, tenant: str) -> None:
    then = datetime.now(UTC) - timedelta(minutes=5)
    host(tables, timedelta(minutes=-5)).add(uncertain(tenant, then))
    with tables.get_table_client(DELIVERIES) as client:
        row = client.get_entity(tenant, "m-1")
        del row[WRITTEN_AT]
        client.update_entity(row, mode=UpdateMode.REPLACE)

    found = host(tables, timedelta(0)).find(tenant, "m-1")
    assert found is not None
    assert found.uncertain_send == UncertainSend(then, 1)


def a_response(headers: dict[str, str]) -> Any:
    return SimpleNamespace(http_response=SimpleNamespace(headers=headers))


@pytest.mark.parametrize(
    ("headers", "moment"),
    [
        ({"Date": "Mon, 23 Nov 2026 12:00:00 GMT"}, datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ({"Date": "Mon, 23 Nov 2026 12:00:00 -0000"}, datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ({"Date": "noon"}, None),
        ({"Date": "Mon, 23 Nov 2026 12:00:00 +99999999999999"}, None),
        ({}, None),
    ],
)
def test_a_response_provides_the_time_of_storage_if_it_has_it(
    headers: dict[str, str], moment: datetime | None
) -> None:
    noted = ResponseTime()
    noted.note(a_response(headers))

    assert noted.moment == moment


def test_without_a_time_of_the_response_nothing_is_moved(tables: Tables, tenant: str) -> None:
    now = datetime.now(UTC)
    host(tables, timedelta(0)).add(uncertain(tenant, now))
    with tables.get_table_client(DELIVERIES) as client:
        row = client.get_entity(tenant, "m-1")

    moved = convert_to_own_clock(uncertain(tenant, now), row, None, now + timedelta(hours=1))
    assert moved == uncertain(tenant, now)


class Stamped(dict[str, Any]):
    """A row whose storage timestamp is later than its writer's clock."""

    def __init__(self, late: timedelta) -> None:
        super().__init__({WRITTEN_AT: NOON})
        self.metadata = {"timestamp": NOON + late}


@pytest.mark.parametrize("late", [timedelta(seconds=23), timedelta(minutes=-5), timedelta(minutes=12)])
def test_an_unused_claim_is_known_despite_another_clock_or_a_slow_write(late: timedelta) -> None:
    row = Delivery("t", "m-1", DeliveryStatus.SENDING, NOON, NOON, NOON).with_claim("q-1", NOON, "claim-1")
    read = NOON + timedelta(hours=1)

    found = convert_to_own_clock(row, Stamped(late), read, read)
    assert found.claim_ends_at == NOON + late + CLAIM_DURATION
    assert (found.own_claim, found.may_have_been_sent) == ("claim-1", False)


def test_a_claim_of_an_older_version_stays_one_on_another_clock() -> None:
    row = Delivery("t", "m-1", DeliveryStatus.SENDING, NOON, NOON, NOON).with_claim("q-1", NOON, "claim-1")
    older = replace(row, claimed_by="q-2", claim_ends_at=NOON + 2 * CLAIM_DURATION)
    read = NOON + timedelta(hours=1)

    assert convert_to_own_clock(older, Stamped(timedelta(minutes=5)), read, read).own_claim is None
