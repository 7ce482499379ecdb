"""A process continues while a mailbox's schedule is not available."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.errors import TransientError
from shared.sending.rate_limit.mailbox_schedule import MailboxSchedule
from shared.time_limit import AttemptTooLongError
from tests.fakes import NOON, FakeSystem, MemorySchedules

if TYPE_CHECKING:
    from datetime import datetime

    from shared.deliveries.slot import Slot
    from shared.sending.rate_limit.schedule import Schedule

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
UNAVAILABLE = TransientError("storage_unavailable", service="tables")


class SlowSchedules(MemorySchedules):
    """A slow store that can lose responses or refuse only writes."""

    system: FakeSystem
    seconds = 10.0
    reads_fail = writes_fail = True
    tries = 0

    def load(self, key: str) -> tuple[Schedule, datetime | None]:
        self._pass(fails=self.reads_fail)
        return super().load(key)

    def save(self, key: str, schedule: Schedule) -> Schedule | None:
        self._pass(fails=self.writes_fail)
        return super().save(key, schedule)

    def _pass(self, *, fails: bool) -> None:
        self.tries += 1
        self.system.pass_time(self.seconds * SECOND)
        if fails:
            raise UNAVAILABLE


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem()


@pytest.fixture
def slow(system: FakeSystem) -> SlowSchedules:
    schedules = SlowSchedules()
    schedules.system, schedules.clock = system, system.now
    return schedules


def a_mailbox_schedule(store: MemorySchedules, system: FakeSystem, pace: int = 0) -> MailboxSchedule:
    return MailboxSchedule("key-of-a-mailbox", "process", lambda: store, pace, system)


def test_an_unresponsive_row_is_not_read_again_for_ten_seconds(
    slow: SlowSchedules, system: FakeSystem
) -> None:
    mailbox_schedule = a_mailbox_schedule(slow, system, pace=30)
    for _ in range(8):
        mailbox_schedule.read()
        mailbox_schedule.take(first=False)
        system.pass_time(SECOND)

    assert slow.tries == 1
    system.pass_time(3 * SECOND)
    mailbox_schedule.read()
    assert slow.tries == 2


def test_the_timeout_of_one_attempt_does_not_mark_the_row_unresponsive(system: FakeSystem) -> None:
    store = MemorySchedules(fail=[AttemptTooLongError()])
    mailbox_schedule = a_mailbox_schedule(store, system)
    mailbox_schedule.read()
    system.pass_time(2 * SECOND)
    mailbox_schedule.read()

    assert store.reads == 2


def refuse(mailbox_schedule: MailboxSchedule) -> None:
    mailbox_schedule.record_refusal(MINUTE, SECOND, quota_reached=False)


@pytest.mark.parametrize("other_writes", [False, True])
def test_a_pause_that_could_not_be_stored_stays_in_memory(
    slow: SlowSchedules, system: FakeSystem, *, other_writes: bool
) -> None:
    slow.reads_fail, slow.seconds = False, 0
    mailbox_schedule = a_mailbox_schedule(slow, system, pace=30)
    mailbox_schedule.read()
    refuse(mailbox_schedule)
    system.pass_time(5 * SECOND)
    if other_writes:
        slow.writes_fail = False
        a_mailbox_schedule(slow, system, pace=30).take(first=False)
        slow.writes_fail = True
    system.pass_time(20 * SECOND)

    assert mailbox_schedule.read().paused_until == NOON + MINUTE


def unsaved_pause(
    slow: SlowSchedules, system: FakeSystem, mails: int
) -> tuple[MailboxSchedule, MailboxSchedule, Slot]:
    """Fail to store a pause; return its process, another, and a last slot."""
    slow.reads_fail, slow.seconds = False, 0
    paused = a_mailbox_schedule(slow, system, pace=2)
    paused.read()
    refuse(paused)
    slow.writes_fail = False
    other = a_mailbox_schedule(slow, system, pace=2)
    return paused, other, [other.take(first=False) for _ in range(mails)][-1]


def test_a_pause_that_was_not_stored_shifts_the_line_stored_by_others(
    slow: SlowSchedules, system: FakeSystem
) -> None:
    mailbox_schedule, other, waiting = unsaved_pause(slow, system, 4)
    system.pass_time(15 * SECOND)

    rest = NOON + MINUTE - system.now()
    assert mailbox_schedule.read().due(waiting) == other.current.due(waiting) + rest


def test_a_pause_that_could_not_be_stored_changes_no_slot_once_it_is_over(
    slow: SlowSchedules, system: FakeSystem
) -> None:
    mailbox_schedule, other, waiting = unsaved_pause(slow, system, 10)
    system.pass_time(2 * MINUTE)

    assert mailbox_schedule.read().due(waiting) == other.current.due(waiting)


def test_slots_that_could_not_be_stored_are_not_given_out_again(
    slow: SlowSchedules, system: FakeSystem
) -> None:
    slow.reads_fail, slow.seconds = False, 0
    mailbox_schedule = a_mailbox_schedule(slow, system, pace=5)
    times = []
    for _ in range(10):
        mailbox_schedule.read()
        times.append(mailbox_schedule.current.due(mailbox_schedule.take(first=False)))
        system.pass_time(3 * SECOND)

    assert times[5] >= times[0] + 60 * SECOND


def test_what_could_not_be_stored_is_stored_once_it_can_be(slow: SlowSchedules, system: FakeSystem) -> None:
    slow.reads_fail, slow.seconds = False, 0
    mailbox_schedule = a_mailbox_schedule(slow, system, pace=30)
    refuse(mailbox_schedule)
    system.pass_time(11 * SECOND)
    slow.writes_fail = False
    first = mailbox_schedule.take(first=False)

    assert slow.rows["key-of-a-mailbox"].paused_until == NOON + MINUTE
    assert mailbox_schedule.take(first=False).at > first.at
    other = a_mailbox_schedule(slow, system, pace=30)
    other.take(first=False)
    system.pass_time(2 * SECOND)
    assert mailbox_schedule.read() == other.read()


def test_a_response_that_took_long_moves_no_clock(slow: SlowSchedules, system: FakeSystem) -> None:
    slow.reads_fail = False
    request_time = system.now()
    slow.clock = lambda: request_time
    mailbox_schedule = a_mailbox_schedule(slow, system)
    mailbox_schedule.read()

    assert mailbox_schedule.now == system.now()


@pytest.mark.parametrize("by", [timedelta(hours=5), timedelta(hours=-5)])
def test_the_row_is_read_again_once_the_hosts_clock_was_set(system: FakeSystem, by: timedelta) -> None:
    store = MemorySchedules(clock=lambda: NOON)
    mailbox_schedule = a_mailbox_schedule(store, system, pace=1)
    mailbox_schedule.read()
    system.set_clock(by)
    mailbox_schedule.read()

    assert mailbox_schedule.now == NOON
    assert mailbox_schedule.take(first=False).at == NOON
