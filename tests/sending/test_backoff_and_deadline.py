"""How long a mail waits, and which mails go before others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.deliveries.delivery import Delivery
from shared.deliveries.event import DeliveryEvent
from shared.deliveries.status import DeliveryStatus
from shared.sending.backoff_and_deadline import (
    MAX_BACKOFF,
    MIN_BACKOFF,
    backoff,
    goes_first,
    retry_before_deadline,
)
from tests.fakes import CONTOSO, NOON

ATTEMPTS = st.integers(1, 10_000)
CHANCE = st.floats(0, 1)


@given(ATTEMPTS, CHANCE)
def test_the_wait_never_shrinks_and_ends_at_ten_minutes(attempt: int, jitter: float) -> None:
    wait = backoff(attempt, jitter)

    assert MIN_BACKOFF / 2 <= wait <= timedelta(minutes=10)
    assert wait <= backoff(attempt + 1, jitter)


@given(ATTEMPTS, CHANCE, st.timedeltas(timedelta(0), timedelta(hours=6)))
def test_retry_after_of_a_service_is_the_minimum(attempt: int, jitter: float, retry_after: timedelta) -> None:
    assert retry_after <= backoff(attempt, jitter, retry_after) <= retry_after + MAX_BACKOFF / 2


def test_the_first_waits_double() -> None:
    waits = [backoff(attempt, 1.0) for attempt in range(1, 5)]

    assert waits == [timedelta(seconds=15), timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2)]


def test_mails_that_failed_together_are_not_retried_together() -> None:
    retry_after = timedelta(seconds=2.128)

    assert backoff(1, 0.1, retry_after) != backoff(1, 0.9, retry_after)


MINUTE = timedelta(minutes=1)


def a_row(*codes: str, name: str = "m-1", attempt: int = 2) -> Delivery:
    deferred = DeliveryStatus.DEFERRED
    steps = tuple(DeliveryEvent(NOON + place * MINUTE, deferred, code) for place, code in enumerate(codes))
    return Delivery(CONTOSO, name, deferred, NOON, NOON, NOON, attempt=attempt, history=steps)


def test_a_test_mail_has_priority_and_a_new_mail_does_not() -> None:
    assert not goes_first(a_row(attempt=1))
    assert goes_first(a_row(name="test-mail:1", attempt=1))


@pytest.mark.parametrize(
    ("codes", "first"),
    [
        (["graph_busy"], True),
        (["graph_busy"] * 2, True),
        (["graph_busy"] * 3, False),
        (["mailbox_throttled", "mailbox_paused", "attempt_too_long", "consent_replaced"] * 3, True),
    ],
)
def test_a_repeatedly_failing_mail_loses_priority_and_a_waiting_one_not(
    codes: list[str], *, first: bool
) -> None:
    assert goes_first(a_row(*codes)) is first


def test_failures_before_a_manual_retry_do_not_count() -> None:
    row = a_row(*["graph_busy"] * 5)
    assert goes_first(replace(row, attempt=6, trying_since=NOON + 10 * MINUTE))


def test_an_expiry_at_the_first_moment_there_is_leaves_no_attempt() -> None:
    assert retry_before_deadline(datetime.min.replace(tzinfo=UTC), NOON, NOON) is None
