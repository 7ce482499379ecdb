"""Which mails go before others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.deliveries.delivery import Delivery
from shared.deliveries.event import DeliveryEvent
from shared.deliveries.status import DeliveryStatus
from shared.sending.requeue_for_slot import goes_first
from tests.fakes import CONTOSO, NOON

MINUTE = timedelta(minutes=1)


def a_row(*codes: str, name: str = "m-1", attempt: int = 2) -> Delivery:
    deferred = DeliveryStatus.DEFERRED
    steps = tuple(DeliveryEvent(NOON + place * MINUTE, deferred, code) for place, code in enumerate(codes))
    return Delivery(CONTOSO, name, deferred, NOON, NOON, NOON, attempt=attempt, history=steps)


def test_a_new_mail_does_not_go_first_and_a_test_mail_does() -> None:
    assert not goes_first(a_row(attempt=1))
    assert goes_first(a_row(name="test-mail:1", attempt=1))


@pytest.mark.parametrize(
    ("codes", "first"),
    [
        (["graph_busy"], True),
        (["graph_busy"] * 2, True),
        (["graph_busy"] * 3, False),
        (["mailbox_throttled", "mailbox_paused", "attempt_too_long", "sending_paused"] * 3, True),
    ],
)
def test_a_repeatedly_failing_mail_goes_last_and_a_waiting_one_does_not(
    codes: list[str], *, first: bool
) -> None:
    assert goes_first(a_row(*codes)) is first


def test_what_failed_before_a_person_had_the_mail_retried_does_not_count() -> None:
    row = a_row(*["graph_busy"] * 5)
    assert goes_first(replace(row, attempt=6, trying_since=NOON + 10 * MINUTE))
