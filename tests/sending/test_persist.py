"""Writes that are repeated until storage answers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.errors import ConfigurationError, TransientError
from shared.sending.persist import NotRecordedError, persist, problem_of
from shared.time_limit import SENDING, limited
from tests.fakes import NOON, FakeWorld

AWAY = TransientError("storage_unavailable", service="tables")


def failing(times: int, error: Exception) -> list[Exception | None]:
    return [error] * times + [None]


def write(outcomes: list[Exception | None]) -> str:
    outcome = outcomes.pop(0)
    if outcome:
        raise outcome
    return "written"


def test_a_write_is_repeated_with_growing_waits_until_storage_answers() -> None:
    world, outcomes = FakeWorld(), failing(5, AWAY)

    assert persist(lambda: write(outcomes), world) == "written"
    assert world.slept == [1, 2, 4, 8, 15]


def test_after_a_minute_it_is_given_up() -> None:
    world = FakeWorld()

    with pytest.raises(NotRecordedError) as given_up:
        persist(lambda: write([AWAY]), world)
    assert given_up.value.problem is AWAY
    assert problem_of(given_up.value) is AWAY
    assert world.now() - NOON < timedelta(minutes=1)


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_clock_that_is_set_changes_nothing_of_that_minute(step: timedelta) -> None:
    world, tries = FakeWorld(), []

    def fail() -> None:
        tries.append(world.passed)
        if len(tries) == 2:
            world.set_clock(step)
        raise AWAY

    with pytest.raises(NotRecordedError):
        persist(fail, world)
    assert timedelta(seconds=30) < world.passed < timedelta(minutes=1)


def test_what_the_operator_has_to_fix_is_not_repeated() -> None:
    world, refused = FakeWorld(), ConfigurationError("storage_denied", service="tables")

    with pytest.raises(NotRecordedError) as given_up:
        persist(lambda: write([refused]), world)
    assert problem_of(given_up.value) is refused
    assert problem_of(refused) is refused
    assert not world.slept


def test_a_write_is_not_repeated_after_the_time_limit_of_the_invocation() -> None:
    world, tries = FakeWorld(), []

    def away() -> None:
        tries.append(world.passed)
        world.pass_time(timedelta(seconds=1))
        raise TransientError("storage_unavailable", service="tables")

    with limited(world):
        world.pass_time(SENDING - timedelta(seconds=1.5))
        with pytest.raises(NotRecordedError):
            persist(away, world)
        world.pass_time(timedelta(minutes=1))
        with pytest.raises(NotRecordedError):
            persist(away, world)

    assert len(tries) == 2
    assert not world.slept
