"""The slots of a mailbox's mails."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest

from shared.deliveries.slot import Slot
from shared.sending.rate_limit.pace import Refusal, add_report, apply_refusal
from shared.sending.rate_limit.schedule import FIRST_TRIAL, LEARNING, WINDOW, Schedule
from shared.sending.rate_limit.slots import insert, mails_before, reserve, visible_after
from tests.fakes import NOON

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def refusal(seconds: float | None, accepted: int = 0, process: str = "a") -> Refusal:
    wait = None if seconds is None else timedelta(seconds=seconds)
    return Refusal(wait, process, accepted, timedelta(seconds=0.4))


def learned_schedule(pace: int = 30, now: datetime = NOON) -> Schedule:
    """Return a schedule with a pace learned at noon and a minute's pause."""
    found = apply_refusal(Schedule(), refusal(60, pace), now, 0)
    found, _ = reserve(found, 0, now + LEARNING, 0)
    return found


def reserve_seconds(
    schedule: Schedule, count: int, now: datetime, set_pace: int = 0
) -> tuple[Schedule, list[float]]:
    """Reserve, and return the slots in seconds from now on."""
    after, slots = reserve(schedule, count, now, set_pace)
    return after, [round((after.due(slot) - now).total_seconds(), 2) for slot in slots]


def max_within(times: list[float], seconds: float) -> int:
    return max(sum(first <= time < first + seconds for time in times) for first in times)


@pytest.mark.parametrize(("wait", "back"), [(-1, 0), (0, 0), (2, 1), (10, 5), (60, 55)])
def test_a_mail_returns_up_to_five_seconds_early_but_after_half_its_wait(wait: float, back: float) -> None:
    assert visible_after(wait * SECOND) == back * SECOND


def test_a_mailbox_without_refusals_is_unlimited_unless_a_pace_is_set() -> None:
    assert Schedule().is_unlimited(NOON, 0)
    assert Schedule(paused_until=NOON, sharing_until=NOON).is_unlimited(NOON, 0)
    assert not Schedule(pace=30).is_unlimited(NOON, 0)
    assert not Schedule().is_unlimited(NOON, 30)


def test_an_idle_mailbox_sends_one_minutes_mails_at_once_and_no_more() -> None:
    _, times = reserve_seconds(Schedule(), 100, NOON, 30)

    assert times[29] < 8
    assert times[30] == 60.5
    assert max_within(times, 60) == 30
    assert times[99] <= 200 * 1.05


def test_a_set_pace_holds_over_retries_and_test_mails() -> None:
    schedule, slots = reserve(Schedule(), 60, NOON, 30)
    sent = [schedule.due(slot) for slot in slots[:35]]
    inserted = []
    for _ in range(5):
        schedule, slot = insert(schedule, NOON + 70 * SECOND, 30)
        inserted.append(slot)

    sent += [schedule.due(slot) for slot in (*inserted, *slots[35:])]
    assert max_within([(moment - NOON).total_seconds() for moment in sent], 60) <= 30
    assert all(slot.inserted and slot.at < NOON + 90 * SECOND for slot in inserted)


def test_the_first_refusal_has_all_hosts_share_four_requests() -> None:
    schedule = apply_refusal(Schedule(), refusal(2), NOON, 0)
    _, times = reserve_seconds(schedule, 3, NOON)

    assert times == [2, 2.2, 2.4]
    assert not schedule.is_unlimited(NOON + 3 * SECOND, 0)
    assert schedule.is_unlimited(NOON + timedelta(minutes=11), 0)


def test_a_refusal_of_a_request_in_flight_is_ignored_a_later_one_counts() -> None:
    shared = apply_refusal(Schedule(), refusal(2), NOON, 0)

    assert apply_refusal(shared, refusal(2), NOON + SECOND, 0).step == shared.step
    assert apply_refusal(shared, refusal(2), NOON + 20 * SECOND, 0).step == shared.step * 1.5


@pytest.mark.parametrize("accepted", [(30,), (12, 18)])
def test_the_pace_is_what_all_processes_accepted_in_the_minute_before(accepted: tuple[int, ...]) -> None:
    schedule = apply_refusal(Schedule(), refusal(50, accepted[0]), NOON, 0)
    for number, count in enumerate(accepted[1:]):
        schedule = add_report(schedule, f"other-{number}", count)

    assert schedule.is_learning(NOON + LEARNING - SECOND)
    schedule, times = reserve_seconds(schedule, 31, NOON + LEARNING)
    assert schedule.pace == 30
    assert times[0] >= 45
    assert times[30] - times[0] == pytest.approx(60.5)


def test_a_second_refusal_during_learning_adds_the_count_of_its_process() -> None:
    schedule = apply_refusal(Schedule(), refusal(50, 10), NOON, 0)
    schedule = apply_refusal(schedule, refusal(50, 20, "b"), NOON + SECOND, 0)

    assert dict(schedule.counts) == {"a": 10, "b": 20}


def test_where_nothing_was_accepted_the_documented_pace_is_taken() -> None:
    assert learned_schedule(0).pace == 30


def test_a_pause_delays_the_whole_line_and_overlapping_pauses_only_once() -> None:
    schedule, slots = reserve(learned_schedule(), 3, NOON + LEARNING, 0)
    before = schedule.due(slots[0])
    later = before - SECOND
    schedule = apply_refusal(schedule, refusal(30), later, 0)
    schedule = apply_refusal(schedule, refusal(20), later, 0)

    assert schedule.due(slots[0]) - before == 30 * SECOND
    assert schedule.paused_until == later + 30 * SECOND


def test_a_pause_of_an_empty_line_moves_nothing() -> None:
    assert apply_refusal(learned_schedule(), refusal(30), NOON + timedelta(hours=1), 0).shift == timedelta(0)


@pytest.mark.parametrize(
    ("seconds", "waited"), [(None, 10), (0, 10), (0.9, 10), (1, 1), (3600, 3600), (1e9, 600), (21600, 600)]
)
def test_an_implausible_wait_is_replaced_by_ten_seconds_or_ten_minutes(
    seconds: float | None, waited: int
) -> None:
    for set_pace in (0, 30):
        paused = apply_refusal(Schedule(), refusal(seconds), NOON, set_pace)
        assert paused.paused_until - NOON == waited * SECOND


def test_mails_refused_before_the_pace_was_learned_precede_the_line() -> None:
    schedule, slots = reserve(learned_schedule(), 10, NOON + LEARNING, 0)
    schedule, slot = insert(schedule, NOON + LEARNING, 0)

    assert slot.inserted
    assert schedule.due(slot) == NOON + MINUTE
    assert schedule.due(slots[0]) == NOON + MINUTE + WINDOW / 30


def test_a_refusal_from_long_ago_reserves_no_place() -> None:
    schedule, now = Schedule(), NOON
    for _ in range(60):
        schedule = apply_refusal(schedule, refusal(2), now, 0)
        now += MINUTE
    schedule = apply_refusal(schedule, refusal(60), now, 0)
    schedule, _ = reserve(schedule, 1, now + LEARNING, 0)

    # Its own and the one before.
    assert schedule.first == now + MINUTE + WINDOW / 30 * 2


def test_a_retry_takes_the_next_slot_and_the_line_moves_back_by_one() -> None:
    now = NOON + timedelta(minutes=2)
    schedule, slots = reserve(learned_schedule(), 100, now, 0)
    before = [schedule.due(slot) for slot in slots]
    schedule, slot = insert(schedule, now + SECOND, 0)

    assert schedule.due(slot) == before[1]
    assert [schedule.due(each) for each in slots[1:]] == [each + WINDOW / 30 for each in before[1:]]


def test_a_retry_takes_the_end_of_the_line_where_nothing_waits() -> None:
    _, slot = insert(learned_schedule(), NOON + timedelta(hours=1), 0)

    assert not slot.inserted


def test_learning_the_pace_starts_a_new_line() -> None:
    schedule, slots = reserve(apply_refusal(Schedule(), refusal(2), NOON, 0), 1, NOON, 0)

    assert apply_refusal(schedule, refusal(50, 30), NOON + 9 * SECOND, 0).line == slots[0].line + 1


def test_a_slot_reserved_during_learning_is_invalid_in_the_learned_line() -> None:
    shared = apply_refusal(Schedule(), refusal(2), NOON, 0)
    learning = apply_refusal(shared, refusal(50, 30), NOON + 9 * SECOND, 0)
    # Its process had read the schedule before, and writes once more after a conflict.
    learning, early = reserve(learning, 1, NOON + 10 * SECOND, 0)
    line, _ = reserve(learning, 0, NOON + 9 * SECOND + LEARNING, 0)

    assert line.pace == 30
    assert not line.has_place(early[0])


def waiting_line() -> tuple[Schedule, datetime]:
    """Return a line with a started trial, and the due times of its mails."""
    now = NOON + timedelta(minutes=13)
    schedule, _ = reserve(learned_schedule(), 100, now, 0)
    assert schedule.trial is not None
    return schedule, schedule.trial.first + schedule.shift


def test_now_and_then_some_mails_of_a_line_try_a_higher_pace() -> None:
    schedule, first = waiting_line()
    assert schedule.trial is not None
    assert schedule.trial.pace == 36

    schedule, _ = reserve(schedule, 1, first + timedelta(minutes=2), 0)
    assert (schedule.pace, schedule.trial) == (33, None)


def test_a_refused_trial_ends_and_delays_the_next_one() -> None:
    schedule, first = waiting_line()
    after = apply_refusal(schedule, refusal(2), first + 20 * SECOND, 0)

    assert (after.pace, after.trial, after.next_trial) == (30, None, timedelta(minutes=20))
    # What the trial leaves behind says nothing about the pace.
    assert apply_refusal(after, refusal(2), first + 80 * SECOND, 0).pace == 30


def test_a_refusal_outside_a_trial_lowers_the_pace_once_for_its_mails() -> None:
    schedule, _ = reserve(learned_schedule(), 100, NOON + timedelta(minutes=2), 0)
    now = NOON + timedelta(minutes=4)
    lower = apply_refusal(schedule, refusal(2), now, 0)

    # The pause of two seconds shifts the line; the mails in it have the slots of the pace before.
    end = lower.end + lower.shift
    assert lower.shift > schedule.shift
    assert lower.pace == 29
    assert apply_refusal(lower, refusal(2), end + WINDOW - SECOND, 0).pace == 29
    assert apply_refusal(lower, refusal(2), end + WINDOW, 0).pace == 28


@pytest.mark.parametrize(("pace", "lower"), [(41, 39), (30, 29), (11, 10), (10, 10), (1, 1)])
def test_refusals_that_continue_for_hours_do_not_lower_the_pace_to_nothing(pace: int, lower: int) -> None:
    line = replace(learned_schedule(), pace=pace)

    assert apply_refusal(line, refusal(2), NOON + timedelta(hours=1), 0).pace == lower


def test_a_pace_below_the_documented_one_is_soon_left_again() -> None:
    schedule, now, paces = replace(learned_schedule(), pace=10), NOON + timedelta(hours=1), []
    for _ in range(4):
        schedule, _ = reserve(schedule, 60, now, 0)
        now = max(schedule.next_slot, now) + timedelta(minutes=12)
        schedule, _ = reserve(schedule, 0, now, 0)
        now += timedelta(minutes=12)
        paces.append(schedule.pace)

    assert paces == [20, 25, 27, 29]


def test_a_learned_pace_is_never_less_than_what_exchange_documents() -> None:
    assert learned_schedule(1).pace == 30
    assert learned_schedule(45).pace == 45


def shifted(line: Schedule, by: timedelta) -> Schedule:
    """Return the same line, stored with another `shift`."""
    trial = line.trial and replace(line.trial, first=line.trial.first - by, last=line.trial.last - by)
    first, end, missed = line.first - by, line.end - by, line.missed - by
    return replace(line, shift=line.shift + by, first=first, end=end, missed=missed, trial=trial)


def due(line: Schedule, slots: list[Slot]) -> list[datetime]:
    return [line.due(slot) for slot in slots]


@pytest.mark.parametrize("set_pace", [0, 30])
@pytest.mark.parametrize("minutes", [1, 2, 13, 20])
def test_what_the_line_was_moved_before_changes_nothing(minutes: int, set_pace: int) -> None:
    now, by = NOON + minutes * MINUTE, timedelta(hours=5)
    line, _ = reserve(learned_schedule(), 70, NOON + MINUTE, set_pace)
    line, _ = reserve(line, 200, NOON + 13 * MINUTE, set_pace)
    other = shifted(line, by)
    for after in (now, now + 3 * SECOND, now + 40 * SECOND):
        (line, slot), (other, its) = insert(line, after, set_pace), insert(other, after, set_pace)
        assert line.due(slot) == other.due(its)
        line, slots = reserve(line, 5, after, set_pace)
        other, others = reserve(other, 5, after, set_pace)
        assert due(line, slots) == due(other, others)
        assert shifted(line, by) == other
        line, other = (apply_refusal(each, refusal(20), after, set_pace) for each in (line, other))
        assert shifted(line, by) == other


@pytest.mark.parametrize("by", [timedelta(0), timedelta(hours=5)])
def test_the_first_pace_is_learned_in_a_line_that_was_shifted(by: timedelta) -> None:
    sharing = replace(apply_refusal(Schedule(), refusal(2), NOON, 0), shift=by)
    line = apply_refusal(sharing, refusal(60, 40), NOON + SECOND, 0)
    line, slots = reserve(line, 1, NOON + SECOND + LEARNING, 0)

    assert line.due(slots[0]) == NOON + SECOND + MINUTE + WINDOW / 40 * 2
    assert line.refusals_count_from == line.due(slots[0]) + WINDOW
    assert (line.counts, line.refused) == ({}, 0)


def test_two_retries_have_two_slots_one_step_apart() -> None:
    line, _ = reserve(learned_schedule(), 10, NOON + LEARNING, 0)
    (line, first), (_, second) = (
        (found := insert(line, NOON + LEARNING, 0)),
        insert(found[0], NOON + LEARNING, 0),
    )

    assert (first.inserted, first.line, second.line) == (True, line.line, line.line)
    # One has the place that was kept free, and the line moves back for the other one.
    assert second.at == first.at + WINDOW / 30
    assert insert(line, NOON + LEARNING, 0)[0].shift == WINDOW / 30
    line, third = insert(insert(line, NOON + LEARNING, 0)[0], NOON + LEARNING, 0)
    assert third.at == second.at + WINDOW / 30


def test_a_retry_at_the_end_of_the_line_takes_one_slot() -> None:
    line, slot = insert(learned_schedule(), NOON + timedelta(hours=1), 0)
    _, (after,) = reserve(line, 1, NOON + timedelta(hours=1), 0)

    assert line.due(after) == line.due(slot) + WINDOW / 30


def test_a_retry_in_a_line_without_steps_takes_its_end() -> None:
    _, slot = insert(Schedule(end=NOON + SECOND), NOON, 0)

    assert (slot.at, slot.inserted) == (NOON + SECOND, False)


def test_mails_of_a_trial_are_sent_at_its_pace_and_later_ones_are_not() -> None:
    now = NOON + 13 * MINUTE
    line, slots = reserve(learned_schedule(), 40, now, 0)
    steps = [
        round((after - before) / SECOND, 3)
        for before, after in zip(due(line, slots), due(line, slots[1:]), strict=False)
    ]
    assert line.trial is not None
    assert line.trial.last - line.trial.first == WINDOW / 2
    faster = steps.count(round(WINDOW / 36 / SECOND, 3))

    assert faster == 18
    assert steps.count(round(WINDOW / 30 / SECOND, 3)) == len(steps) - faster


def test_a_trial_ends_a_minute_after_its_last_mail_with_a_whole_number() -> None:
    line, _ = waiting_line()
    assert line.trial is not None
    line = replace(line, next_trial=timedelta(hours=1))
    over = line.trial.last + line.shift + WINDOW if line.trial else NOON
    early, _ = reserve(line, 0, over, 0)
    late, _ = reserve(line, 0, over + SECOND, 0)

    assert early.trial == line.trial
    assert (str(late.pace), late.next_trial) == ("33", FIRST_TRIAL)
    assert late.refusals_count_from == max(late.end + late.shift, over + SECOND) + WINDOW


@pytest.mark.parametrize(("seconds", "is_of_the_rate"), [(9.9, False), (10, True), (None, True)])
def test_a_wait_of_ten_seconds_is_one_of_the_rate(seconds: float | None, is_of_the_rate: bool) -> None:  # noqa: FBT001
    known = replace(Schedule(), counts={"of-before": 99})
    line = apply_refusal(known, refusal(seconds, 7), NOON, 0)

    assert (line.learning_since is not None) is is_of_the_rate
    assert line.counts == ({"a": 7} if is_of_the_rate else {"of-before": 99})


def test_a_later_refusal_prolongs_the_time_in_which_requests_are_shared() -> None:
    line = apply_refusal(Schedule(), refusal(2), NOON, 0)
    line = apply_refusal(line, refusal(2), NOON + MINUTE, 0)
    assert (line.sharing_until, line.refused) == (NOON + 11 * MINUTE, 1)

    line = apply_refusal(line, refusal(2), NOON + 12 * MINUTE, 0)
    assert (line.sharing_until, line.refused, line.step) == (NOON + 22 * MINUTE, 1, 0.2 * SECOND)


def test_the_row_has_the_fixed_slots_of_one_minute_in_tenths_of_a_second() -> None:
    line, _ = reserve(Schedule(), 100, NOON, 30)
    assert len(line.fixed_slots) == 30
    assert {round(each * 10) / 10 for each in line.fixed_slots} == set(line.fixed_slots)
    assert any(each % 1 for each in line.fixed_slots)

    line, _ = insert(line, NOON + 61 * SECOND, 30)
    assert len(line.fixed_slots) == 30
    line, _ = reserve(line, 1, line.next_slot + 40 * SECOND, 30)
    # Those that the line had in that minute, and the new one.
    assert len(line.fixed_slots) == 11


def test_a_slot_that_is_due_at_this_moment_belongs_to_its_mail() -> None:
    line, slots = reserve(Schedule(), 40, NOON, 30)
    now = line.due(slots[32])
    line, slot = insert(line, now, 30)

    assert line.due(slot) == now + WINDOW / 30


def test_the_next_slot_is_known_while_an_idle_mailbox_sends_at_once() -> None:
    line, _ = reserve(Schedule(), 1, NOON, 30)
    assert line.next_slot == NOON + 0.25 * SECOND
    line, _ = reserve(line, 29, NOON, 30)
    assert line.next_slot == NOON + 30 * (WINDOW / 30)


def send_due(line: Schedule, waiting: list[Slot], now: datetime, sent: list[float]) -> None:
    for slot in [each for each in waiting if line.due(each) <= now]:
        waiting.remove(slot)
        sent.append((max(line.due(slot), now - SECOND) - NOON).total_seconds())


def random_mails(seed: int, pace: int, mails: float, retries: float, pauses: float = 0.0) -> list[float]:
    """Return the times of mails that arrive at random, by chances a second."""
    chance = Random(seed)
    line, now, waiting, sent = Schedule(), NOON, list[Slot](), list[float]()
    for _ in range(400):
        now += SECOND
        send_due(line, waiting, now, sent)
        if chance.random() < mails:
            line, slots = reserve(line, chance.randrange(1, 3), now, pace)
            waiting += slots
            send_due(line, waiting, now, sent)
        if chance.random() < retries:
            line, slot = insert(line, now, pace)
            waiting.append(slot)
        if chance.random() < pauses:
            line = line.paused(now + chance.randrange(1, 60) * SECOND, now)
        for slot in [each for each in waiting if line.is_missed(each, now)]:
            waiting.remove(slot)
            line, new_slot = insert(line, now, pace)
            waiting.append(new_slot)
    return sent


@pytest.mark.parametrize("pauses", [0.0, 0.01])
@pytest.mark.parametrize(
    ("pace", "mails", "retries"),
    [
        pytest.param(6, 0.05, 0.02, id="some waits"),
        pytest.param(6, 0.15, 0.05, id="a long backlog with retries"),
        pytest.param(30, 0.4, 0.1, id="a higher pace"),
        pytest.param(300, 3.0, 0.5, id="a pace without bursts"),
        pytest.param(1, 0.01, 0.01, id="one mail a minute"),
    ],
)
def test_a_set_pace_holds_in_any_order_of_mails_and_retries(
    pace: int, mails: float, retries: float, pauses: float
) -> None:
    for seed in range(10):
        sent = random_mails(seed, pace, mails, retries, pauses)

        assert len(sent) > 1
        assert max_within(sent, 60) <= pace


@pytest.mark.parametrize(("limit", "is_new"), [(31, True), (36, False)])
def test_a_limit_below_the_pace_of_a_trial_begins_a_new_line(limit: int, is_new: bool) -> None:  # noqa: FBT001
    line, _ = waiting_line()
    after, _ = reserve(line, 1, NOON + 13 * MINUTE, limit)

    assert (after.line != line.line) is is_new


def test_slots_that_a_pause_makes_void_are_not_counted_before_another_mail() -> None:
    line, _ = reserve(Schedule(), 41, NOON, 30)
    line = line.paused(NOON + 10 * SECOND, NOON)

    # Nothing can be sent within the pause; eleven mails have slots in the line.
    assert mails_before(line, line.next_slot, NOON, 30) == 11


def test_a_trial_is_the_same_in_a_line_that_was_shifted() -> None:
    by, now = timedelta(hours=5), NOON + 13 * MINUTE
    line, _ = reserve(learned_schedule(), 100, now, 0)
    other, _ = reserve(shifted(learned_schedule(), by), 100, now, 0)
    assert line.trial is not None
    assert shifted(line, by) == other

    over = line.trial.last + line.shift + 2 * WINDOW
    line, other = reserve(line, 1, over, 0)[0], reserve(other, 1, over, 0)[0]
    assert line.trial is None
    assert shifted(line, by) == other
