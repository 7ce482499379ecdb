"""Mailboxes that Graph asked to leave alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.errors import TransientError
from shared.sending.pauses import UNSAID, Pauses
from tests.exchange_online import a_sender
from tests.fakes import NOON


def throttled(seconds: float | None, code: str = "mailbox_throttled") -> TransientError:
    wait = None if seconds is None else timedelta(seconds=seconds)
    return TransientError(code, retry_after=wait, address="a")


def left(pauses: Pauses, now: datetime) -> float | None:
    try:
        pauses.check(a_sender(), now)
    except TransientError as error:
        assert error.code == "mailbox_paused"  # noqa: PT017 - the only way to see what is left
        assert error.retry_after is not None  # noqa: PT017
        return error.retry_after.total_seconds()
    return None


def test_a_mailbox_that_nobody_complained_of_may_be_asked() -> None:
    assert left(Pauses(), NOON) is None


def test_a_throttled_mailbox_is_left_alone_for_as_long_as_graph_said() -> None:
    pauses = Pauses()
    pauses.note(a_sender(), throttled(2.128), NOON)

    assert left(pauses, NOON) == 2.128
    assert left(pauses, NOON + timedelta(seconds=2)) == pytest.approx(0.128)
    assert left(pauses, NOON + timedelta(seconds=2.128)) is None


def test_where_graph_does_not_say_how_long_a_while_is_waited() -> None:
    pauses = Pauses()
    pauses.note(a_sender(), throttled(None), NOON)

    assert left(pauses, NOON) == UNSAID.total_seconds()


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    pauses = Pauses()
    pauses.note(a_sender(), throttled(3600, "sending_limit_reached"), NOON)
    pauses.note(a_sender(), throttled(1), NOON)

    assert left(pauses, NOON) == 3600


def test_graph_being_away_is_no_reason_to_spare_one_mailbox() -> None:
    pauses = Pauses()
    pauses.note(a_sender(), throttled(60, "graph_unavailable"), NOON)

    assert left(pauses, NOON) is None


def test_other_mailboxes_go_on() -> None:
    pauses = Pauses()
    pauses.note(replace(a_sender(), account="uma@contoso.com"), throttled(60), NOON)
    pauses.note(replace(a_sender(), mailbox="users/ada@contoso.com"), throttled(60), NOON)

    assert left(pauses, NOON) is None


def test_a_mailbox_has_four_turns_and_another_mailbox_its_own() -> None:
    pauses = Pauses()
    taken = [pauses.turn(a_sender()).acquire(blocking=False) for _ in range(5)]

    assert taken == [True, True, True, True, False]
    assert pauses.turn(replace(a_sender(), account="uma@contoso.com")).acquire(blocking=False)


def test_the_mailbox_that_is_left_alone_is_the_accounts_whatever_the_from_address() -> None:
    pauses, sender = Pauses(), a_sender(from_field="finance@contoso.com")
    pauses.note(sender, throttled(10), NOON)

    with pytest.raises(TransientError) as raised:
        pauses.check(sender, NOON)
    assert raised.value.facts["address"] == "ada@contoso.com"
