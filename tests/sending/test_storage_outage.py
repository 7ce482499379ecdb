"""Writes repeated until storage responds, with the facts kept in memory."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.errors import ConfigurationError, TransientError
from shared.sending.storage_outage import ClaimMemory, NotRecordedError, persist, problem_of
from shared.time_limit import SENDING_LIMIT, limit_invocation
from tests.fakes import NOON, FakeSystem

UNAVAILABLE = TransientError("storage_unavailable", service="tables")


def failing(times: int, error: Exception) -> list[Exception | None]:
    return [error] * times + [None]


def write(outcomes: list[Exception | None]) -> str:
    outcome = outcomes.pop(0)
    if outcome:
        raise outcome
    return "written"


def test_a_write_is_repeated_with_growing_waits_until_storage_responds() -> None:
    system, outcomes = FakeSystem(), failing(5, UNAVAILABLE)

    assert persist(lambda: write(outcomes), system) == "written"
    assert system.slept == [1, 2, 4, 8, 15]


def test_after_a_minute_it_is_given_up() -> None:
    system = FakeSystem()

    with pytest.raises(NotRecordedError) as given_up:
        persist(lambda: write([UNAVAILABLE]), system)
    assert given_up.value.problem is UNAVAILABLE
    assert problem_of(given_up.value) is UNAVAILABLE
    assert system.now() - NOON < timedelta(minutes=1)


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_clock_that_is_set_changes_nothing_of_that_minute(step: timedelta) -> None:
    system, tries = FakeSystem(), []

    def fail() -> None:
        tries.append(system.passed)
        if len(tries) == 2:
            system.set_clock(step)
        raise UNAVAILABLE

    with pytest.raises(NotRecordedError):
        persist(fail, system)
    assert timedelta(seconds=30) < system.passed < timedelta(minutes=1)


def test_what_the_operator_has_to_fix_is_not_repeated() -> None:
    system, refused = FakeSystem(), ConfigurationError("storage_denied", service="tables")

    with pytest.raises(NotRecordedError) as given_up:
        persist(lambda: write([refused]), system)
    assert problem_of(given_up.value) is refused
    assert problem_of(refused) is refused
    assert not system.slept


def test_a_write_is_not_repeated_after_the_time_limit_of_the_invocation() -> None:
    system, tries = FakeSystem(), []

    def unavailable() -> None:
        tries.append(system.passed)
        system.pass_time(timedelta(seconds=1))
        raise TransientError("storage_unavailable", service="tables")

    with limit_invocation(system):
        system.pass_time(SENDING_LIMIT - timedelta(seconds=1.5))
        with pytest.raises(NotRecordedError):
            persist(unavailable, system)
        system.pass_time(timedelta(minutes=1))
        with pytest.raises(NotRecordedError):
            persist(unavailable, system)

    assert len(tries) == 2
    assert not system.slept


def test_a_claim_is_held_while_it_is_worked_on() -> None:
    claims = ClaimMemory()
    with claims.holding("c-1"):
        assert claims.holds("c-1")
        assert not claims.holds("c-2")

    assert not claims.holds("c-1")
    assert not claims.holds(None)


def test_a_redelivered_message_means_what_could_not_be_queued() -> None:
    claims = ClaimMemory()
    claims.save("q-1", b"other")

    assert claims.recall("q-1", b"text") == b"other"
    assert claims.recall("q-2", b"text") == b"text"
    claims.forget("q-1", b"other")
    assert claims.recall("q-1", b"text") == b"text"


def test_the_oldest_message_is_dropped_when_there_are_too_many() -> None:
    claims = ClaimMemory()
    for number in range(201):
        claims.save(f"q-{number}", b"other")

    assert claims.recall("q-0", b"text") == b"text"
    assert claims.recall("q-1", b"text") == b"other"


def test_what_could_not_be_queued_is_taken_once_until_it_is_left() -> None:
    claims = ClaimMemory()
    claims.save("q-1", b"other")

    assert claims.has_unqueued
    assert claims.take_unqueued() == {"q-1": b"other"}
    assert claims.take_unqueued() == {}
    assert claims.recall("q-1", b"text") == b"other"
    claims.leave_unqueued("q-1")
    assert claims.take_unqueued() == {"q-1": b"other"}

    claims.forget("q-1", b"other")
    claims.leave_unqueued("q-1")
    assert claims.take_unqueued() == {}


def test_facts_recorded_by_another_thread_meanwhile_are_not_lost() -> None:
    claims = ClaimMemory()
    claims.save("m-1", b"accepted")
    claims.forget("m-1", b"text")

    assert claims.recall("m-1", b"text") == b"accepted"
