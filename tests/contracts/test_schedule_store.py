"""The contract of a ScheduleStore, for the fake and Azure Table Storage."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from shared.adapters.schedule_table import TableScheduleStore
from shared.sending.rate_limit.schedule import Schedule, Trial
from shared.storage_names import TENANT_SETTINGS
from tests.fakes import NOON, MemorySchedules

if TYPE_CHECKING:
    from shared.sending.rate_limit.ports import ScheduleStore
    from tests.contracts.conftest import Tables

SCHEDULE = Schedule(
    line=2,
    end=NOON,
    shift=timedelta(seconds=2),
    pace=30,
    trial=Trial(36, NOON, NOON + timedelta(seconds=30)),
    counts={"a": 3},
    fixed_slots=(1.5, 2.5),
    uploads=((10, 3_000_000), (20, 5_000_000)),
)


@pytest.fixture(params=["memory", "azurite"])
def store(request: pytest.FixtureRequest, tables: Tables) -> ScheduleStore:
    return MemorySchedules() if request.param == "memory" else TableScheduleStore(tables)


def test_a_schedule_is_read_as_it_was_stored(store: ScheduleStore) -> None:
    key = uuid.uuid4().hex
    assert store.load(key)[0] == Schedule()
    saved = store.save(key, SCHEDULE)

    assert saved is not None
    assert store.load(key)[0] == saved
    assert replace(saved, etag=None) == SCHEDULE


def test_a_schedule_that_another_process_changed_is_not_written(store: ScheduleStore) -> None:
    key = uuid.uuid4().hex
    first = store.save(key, SCHEDULE)
    assert first is not None
    assert store.save(key, replace(first, pace=20)) is not None

    assert store.save(key, replace(first, pace=20)) is None
    assert store.save(key, SCHEDULE) is None


def test_an_unreadable_row_is_an_empty_schedule_with_the_server_time(tables: Tables) -> None:
    key = uuid.uuid4().hex
    row = {"PartitionKey": "schedule", "RowKey": key, "Document": "{"}
    tables.get_table_client(TENANT_SETTINGS).create_entity(row)
    store = TableScheduleStore(tables)
    found, storage_time = store.load(key)

    assert replace(found, etag=None) == Schedule()
    assert storage_time is not None
    assert abs(storage_time - datetime.now(UTC)) < timedelta(minutes=1)
    assert store.save(key, found) is not None
