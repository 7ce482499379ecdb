"""How long a mail waits."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.sending.backoff import FIRST, LONGEST, backoff

ATTEMPTS = st.integers(1, 10_000)
CHANCE = st.floats(0, 1)


@given(ATTEMPTS, CHANCE)
def test_the_wait_never_shrinks_and_ends_at_ten_minutes(attempt: int, jitter: float) -> None:
    wait = backoff(attempt, jitter)

    assert FIRST / 2 <= wait <= timedelta(minutes=10)
    assert wait <= backoff(attempt + 1, jitter)


@given(ATTEMPTS, CHANCE, st.timedeltas(timedelta(0), timedelta(hours=6)))
def test_what_a_service_asked_for_is_the_floor(attempt: int, jitter: float, asked: timedelta) -> None:
    assert asked <= backoff(attempt, jitter, asked) <= asked + LONGEST / 2


def test_the_first_waits_double() -> None:
    waits = [backoff(attempt, 1.0) for attempt in range(1, 5)]

    assert waits == [timedelta(seconds=15), timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2)]


def test_mails_that_failed_together_do_not_come_back_together() -> None:
    asked = timedelta(seconds=2.128)

    assert backoff(1, 0.1, asked) != backoff(1, 0.9, asked)
