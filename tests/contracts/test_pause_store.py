"""The contract of a PauseStore, for the fake and Azure Table Storage."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from shared.adapters.pause_table import TablePauseStore
from shared.adapters.table_storage import TableSettingsStore
from shared.settings.sending_switch import MAX_REASON_LENGTH, PauseStore, SendingPause
from shared.storage_names import TENANT_SETTINGS
from tests.fakes import NOON, MemoryPause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contracts.conftest import Tables

PAUSE = SendingPause(NOON, "deploying 1.4")
KEYS = {"PartitionKey": "installation", "RowKey": "sending-pause"}


@pytest.fixture(params=["memory", "azurite"])
def store(request: pytest.FixtureRequest, tables: Tables) -> Iterator[PauseStore]:
    found: PauseStore = MemoryPause() if request.param == "memory" else TablePauseStore(tables)
    found.remove()
    yield found
    found.remove()


def test_without_a_row_mail_is_sent(store: PauseStore) -> None:
    assert store.load() is None


@pytest.mark.parametrize("pause", [PAUSE, SendingPause(NOON)])
def test_a_pause_is_read_as_it_was_stored(store: PauseStore, pause: SendingPause) -> None:
    assert store.save(pause) == pause
    assert store.load() == pause


def test_a_second_pause_leaves_the_first(store: PauseStore) -> None:
    store.save(PAUSE)

    assert store.save(SendingPause(NOON + timedelta(hours=1), "again")) == PAUSE
    assert store.load() == PAUSE


def test_a_pause_that_is_removed_is_over_also_when_it_is_removed_twice(store: PauseStore) -> None:
    store.save(PAUSE)
    store.remove()
    store.remove()

    assert store.load() is None


def test_a_manually_created_row_pauses_with_any_content(tables: Tables) -> None:
    store = TablePauseStore(tables)
    table = tables.get_table_client(TENANT_SETTINGS)
    table.upsert_entity({**KEYS, "Since": "yesterday", "Reason": "x" * 500})
    try:
        found = store.load()
    finally:
        store.remove()

    assert found is not None
    assert abs(datetime.now(UTC) - found.since) < timedelta(minutes=5)
    assert found.reason == "x" * MAX_REASON_LENGTH


def test_the_installation_is_no_tenant(tables: Tables) -> None:
    store = TablePauseStore(tables)
    store.save(PAUSE)
    try:
        assert "installation" not in TableSettingsStore(tables).tenants()
    finally:
        store.remove()


def test_a_pause_carries_the_mark_of_its_installation(store: PauseStore) -> None:
    store.save(replace(PAUSE, installation="ours"))
    store.save(replace(PAUSE, installation="theirs"))

    assert store.load() == replace(PAUSE, installation="ours")


def test_a_pause_without_a_mark_gets_the_next_pausing_installation(store: PauseStore) -> None:
    store.save(PAUSE)

    assert store.save(SendingPause(NOON + timedelta(hours=1), "again", "ours")) == replace(
        PAUSE, installation="ours"
    )
    assert store.load() == replace(PAUSE, installation="ours")


def test_a_pause_that_a_machine_ahead_of_time_wrote_counts_from_its_row(tables: Tables) -> None:
    store = TablePauseStore(tables)
    store.save(SendingPause(datetime.now(UTC) + timedelta(days=1)))
    try:
        found = store.load()
    finally:
        store.remove()

    assert found is not None
    assert abs(datetime.now(UTC) - found.since) < timedelta(minutes=5)
