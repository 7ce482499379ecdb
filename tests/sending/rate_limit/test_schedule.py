"""The schedule of a mailbox: slots and clocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.deliveries.slot import Slot
from shared.sending.rate_limit.schedule import Schedule, clock_ahead, mailbox_mark, schedule_key
from shared.settings.sender import sender_of
from tests.builders import some_settings
from tests.fakes import CLIENT_ID, FABRIKAM, NOON

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("storage_time", "took", "ahead"),
    [
        (None, 0, 0),
        (0, 0, 0),
        (-3, 0, 0),
        (9, 6, 0),
        (-4, 0, -4),
        (10, 6, 4),
        (3600, 0, 3600),
    ],
)
def test_a_clock_differs_by_more_than_the_transfer_of_a_response_explains(
    storage_time: int | None, took: int, ahead: int
) -> None:
    moment = None if storage_time is None else NOON + storage_time * SECOND
    assert clock_ahead(moment, NOON, NOON + took * SECOND) == ahead * SECOND


@pytest.mark.parametrize("shift", [timedelta(0), 5 * HOUR])
def test_a_slot_is_valid_in_its_own_line_and_shortly_after_its_end(shift: timedelta) -> None:
    line = Schedule(line=2, end=NOON + HOUR - shift, shift=shift)

    def has_place(seconds: float, number: int = 2) -> bool:
        return line.has_place(Slot(NOON + HOUR + seconds * SECOND - shift, number))

    assert [has_place(-1), has_place(60), has_place(60.1), has_place(-1, 1)] == [True, True, False, False]
    inserted = Slot(NOON + 2 * HOUR, 2, inserted=True)
    assert not line.has_place(inserted)
    assert replace(line, inserted_at=NOON + 2 * HOUR).has_place(inserted)


@pytest.mark.parametrize("shift", [timedelta(0), 5 * HOUR])
def test_a_slot_is_missed_after_a_minute_or_when_a_pause_covers_it(shift: timedelta) -> None:
    line = Schedule(shift=shift, paused_until=NOON + HOUR)
    slot = Slot(NOON - shift)

    assert not line.is_missed(slot, NOON + 60 * SECOND)
    assert line.is_missed(slot, NOON + 61 * SECOND)
    inserted = Slot(NOON + 60 * SECOND, inserted=True)
    assert line.is_missed(inserted, NOON)
    assert not replace(line, paused_until=NOON + 60 * SECOND).is_missed(inserted, NOON)
    assert not line.is_missed(replace(inserted, at=NOON + HOUR), NOON + HOUR)


def test_with_a_set_pace_a_slot_is_missed_five_seconds_later() -> None:
    line = Schedule(limit=30)

    assert not line.is_missed(Slot(NOON), NOON + 5 * SECOND)
    assert line.is_missed(Slot(NOON), NOON + 5.1 * SECOND)


@pytest.mark.parametrize("shift", [timedelta(0), 5 * HOUR])
def test_a_missed_slot_stays_missed_when_the_line_is_shifted(shift: timedelta) -> None:
    line = Schedule(limit=30, end=NOON + HOUR - shift, shift=shift)
    missed, late, waiting = (Slot(NOON + seconds * SECOND - shift) for seconds in (-6, -4, 1))
    line = line.shifted(20 * SECOND, NOON)

    assert [line.is_missed(slot, NOON) for slot in (missed, late, waiting)] == [True, False, False]
    assert line.is_missed(missed, NOON)
    # The inserted slots are not shifted.
    assert not line.is_missed(Slot(NOON - SECOND, inserted=True), NOON)


def test_a_pause_shifts_only_a_line_with_waiting_mails_and_never_shrinks() -> None:
    waiting = Schedule(end=NOON + HOUR)

    assert waiting.paused(NOON + 20 * SECOND, NOON).shift == 20 * SECOND
    assert Schedule(end=NOON).paused(NOON + 20 * SECOND, NOON).shift == timedelta(0)
    paused = waiting.paused(NOON + 20 * SECOND, NOON)
    assert paused.paused(NOON + 10 * SECOND, NOON) == paused
    assert paused.paused(NOON + 30 * SECOND, NOON).shift == 30 * SECOND


def test_fixed_slots_that_a_wrong_clock_stored_begin_a_new_line() -> None:
    ahead = (NOON + 50 * HOUR).timestamp()

    assert Schedule(fixed_slots=(NOON.timestamp(),)).if_plausible(NOON).fixed_slots
    for slots in ((ahead,), (NOON.timestamp(), ahead), (ahead, NOON.timestamp())):
        assert Schedule(fixed_slots=slots).if_plausible(NOON) == Schedule(line=1)


def test_each_app_and_mailbox_has_a_schedule_of_its_own() -> None:
    """Graph counts the requests of an app to a mailbox."""
    ada, bob = (replace(sender_of(some_settings()), mailbox=name) for name in ("me", "bob@contoso.com"))
    keys = {schedule_key(sender, app) for sender in (ada, bob) for app in (CLIENT_ID, FABRIKAM, None)}

    assert len(keys) == 6
    assert len({mailbox_mark(key) for key in keys}) == 6
