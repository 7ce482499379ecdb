"""How a process reads the switch that pauses sending."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import ConfigurationError, TransientError
from shared.settings.sending_switch import MAX_SWITCH_AGE, SendingPause, SendingSwitch
from tests.fakes import CLIENT_ID, NOON, FakeSystem, MemoryPause

PAUSE = SendingPause(NOON, "deploying 1.4")


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem()


@pytest.fixture
def store() -> MemoryPause:
    return MemoryPause()


def test_a_stored_pause_pauses_and_its_removal_resumes(store: MemoryPause, system: FakeSystem) -> None:
    switch = SendingSwitch(store, system)
    seen = [switch.current_pause()]
    for change in (lambda: store.save(PAUSE), store.remove):
        change()
        system.pass_time(MAX_SWITCH_AGE)
        seen.append(switch.current_pause())

    assert seen == [None, PAUSE, None]


def test_the_store_is_read_at_most_every_ten_seconds(store: MemoryPause, system: FakeSystem) -> None:
    switch = SendingSwitch(store, system)
    for _ in range(100):
        switch.current_pause()
        system.pass_time(timedelta(milliseconds=200))

    assert store.reads == 2
    assert timedelta(seconds=10) == MAX_SWITCH_AGE


def test_a_value_that_cannot_be_read_again_is_not_used(store: MemoryPause, system: FakeSystem) -> None:
    switch = SendingSwitch(store, system)
    switch.current_pause()
    system.pass_time(MAX_SWITCH_AGE)
    store.fail = [TransientError("storage_unavailable", service="tables")] * 2

    for _ in range(2):
        with pytest.raises(TransientError):
            switch.current_pause()
    assert switch.current_pause() is None


def test_a_clock_that_is_set_back_does_not_prolong_a_cached_value(
    store: MemoryPause, system: FakeSystem
) -> None:
    switch = SendingSwitch(store, system)
    switch.current_pause()
    store.save(PAUSE)
    system.set_clock(timedelta(hours=-1))
    system.pass_time(timedelta(seconds=10))

    assert switch.current_pause() == PAUSE


def test_a_machine_that_was_suspended_reads_the_switch_again(store: MemoryPause, system: FakeSystem) -> None:
    switch = SendingSwitch(store, system)
    switch.current_pause()
    store.save(PAUSE)
    # The time that a process measures stands still meanwhile.
    system.set_clock(timedelta(hours=1))

    assert switch.current_pause() == PAUSE


OTHER = "99999999-2222-4333-8444-555555555555"


@pytest.mark.parametrize(
    ("mark", "own", "paused"),
    [
        (CLIENT_ID, CLIENT_ID, True),
        (OTHER, CLIENT_ID, False),
        (None, CLIENT_ID, True),
        (OTHER, None, True),
        (None, None, True),
    ],
)
def test_only_its_own_pause_and_one_without_a_mark_pauses_an_installation(
    store: MemoryPause,
    system: FakeSystem,
    mark: str | None,
    own: str | None,
    paused: bool,  # noqa: FBT001
) -> None:
    store.save(replace(PAUSE, installation=mark))
    switch = SendingSwitch(store, system, lambda: own)

    assert (switch.current_pause() is not None) is paused


def test_a_pause_of_another_installation_is_an_error_that_names_both(
    store: MemoryPause, system: FakeSystem
) -> None:
    store.save(replace(PAUSE, installation=OTHER))
    with pytest.raises(ConfigurationError) as refused:
        SendingSwitch(store, system, lambda: CLIENT_ID).check_owner()

    assert refused.value.code == "other_installation"
    assert refused.value.params == {"ours": CLIENT_ID, "theirs": OTHER}


@pytest.mark.parametrize("mark", [None, CLIENT_ID])
def test_its_own_pause_is_no_error(store: MemoryPause, system: FakeSystem, mark: str | None) -> None:
    switch = SendingSwitch(store, system, lambda: CLIENT_ID)
    switch.check_owner()
    store.save(replace(PAUSE, installation=mark))
    system.pass_time(MAX_SWITCH_AGE)
    switch.check_owner()

    assert switch.current_pause() is not None
