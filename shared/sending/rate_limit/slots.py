"""Reserve the slots of a mailbox's mails. Pure."""

from __future__ import annotations

from bisect import insort
from dataclasses import replace
from datetime import datetime, timedelta
from math import floor

from shared.deliveries.slot import Slot
from shared.sending.rate_limit.pace import settled, tried
from shared.sending.rate_limit.schedule import START, WINDOW, Schedule

#: The time between mails that an idle mailbox sends in a burst.
_BURST_STEP = timedelta(milliseconds=250)
_MOMENT = timedelta(milliseconds=1)
#: The host polls an idle queue every five seconds (`maxPollingInterval`).
_EARLY = timedelta(seconds=5)
#: The row stores slots of a set pace in tenths of a second; a window exceeds a minute by more than that.
_ROUNDED = timedelta(seconds=0.1)
_COUNTED = (WINDOW - 2 * _ROUNDED).total_seconds()
_NONE = timedelta(0)


def visible_after(wait: timedelta) -> timedelta:
    """Return the visibility delay of a mail whose slot is `wait` ahead.

    It becomes visible early and waits for the rest in a worker. There its row no longer shows that it waits,
    so the delay is not much shorter than the wait.
    """
    return max(wait - _EARLY, wait / 2, _NONE)


def reserve(schedule: Schedule, count: int, now: datetime, set_pace: int) -> tuple[Schedule, list[Slot]]:
    """Reserve slots at the end of the line.

    `set_pace` is the operator's limit; 0 if the pace is learned.
    """
    schedule = _limited(settled(schedule, now), now, set_pace)
    slots: list[Slot] = []
    for _ in range(count):
        at = max(now, schedule.paused_until, schedule.end + schedule.moved)
        if set_pace:
            at = max(at, _after_recent(schedule, set_pace))
            schedule = _logged(schedule, at, now, set_pace)
        else:
            schedule = tried(schedule, at, now)
        slots.append(Slot(at - schedule.moved, schedule.line))
        schedule = replace(schedule, end=at - schedule.moved + _step(schedule, at, now, set_pace))
    return schedule, slots


def insert(schedule: Schedule, now: datetime, set_pace: int) -> tuple[Schedule, Slot]:
    """Reserve a slot before the line, which is shifted back by one."""
    schedule = _limited(settled(schedule, now), now, set_pace)
    step = WINDOW / set_pace if set_pace else _step(schedule, now, now, 0)
    # A slot at exactly this time belongs to another mail.
    earliest = max(now + _MOMENT, schedule.paused_until, schedule.inserted_at + step)
    end = schedule.end + schedule.moved
    if earliest + step <= schedule.first + schedule.moved:
        return replace(schedule, inserted_at=earliest), Slot(earliest, schedule.line, inserted=True)
    at = end if end <= earliest or step <= _NONE else end - (end - earliest) // step * step
    last = min(end, _next_of_line(schedule, now)) if set_pace else end
    while at < end and at <= last + _MOMENT:
        moved = replace(schedule.moved_back(step, now), inserted_at=at)
        if set_pace:
            moved = _logged(moved, at, now, set_pace)
        if not _exceeds(moved, at, set_pace):
            return moved, Slot(at, moved.line, inserted=True)
        at += step
    schedule, slots = reserve(schedule, 1, now, set_pace)
    return schedule, slots[0]


def mails_before(schedule: Schedule, moment: datetime, now: datetime, set_pace: int) -> int | None:
    """Estimate how many mails are sent from now until a time.

    None while no pace is known. The row has no list of the waiting mails, so that its size does not depend on
    their number. With a set pace it has the latest slots, which are counted. Earlier slots are assumed to be
    one step apart, which overestimates in the minute after an idle mailbox has sent a burst.
    """
    start = max(now, schedule.paused_until)
    step = WINDOW / (set_pace or schedule.pace) if set_pace or schedule.pace else schedule.step
    if step <= _NONE:
        return None
    if not set_pace or not schedule.recent:
        return max(moment - start, _NONE) // step
    recent = [START + timedelta(seconds=each) + schedule.moved for each in schedule.recent]
    counted = sum(now + _ROUNDED < each < moment - _ROUNDED for each in recent)
    earlier = len(recent) >= 2 * set_pace
    tail = recent[-2 * set_pace :][0]
    return counted + (max(min(moment, tail) - start, _NONE) // step if earlier else 0)


def _limited(schedule: Schedule, now: datetime, set_pace: int) -> Schedule:
    """Begin a new line if the operator's limit was lowered.

    Waiting mails get new slots when they become visible. The line begins as if the mails of the last minute
    had been sent at the new pace.
    """
    if schedule.limit == set_pace:
        return schedule
    limited = replace(schedule, limit=set_pace)
    if not schedule.exceeds(set_pace, now):
        return limited
    step = WINDOW / set_pace
    sent = ((now - step * back - START).total_seconds() for back in reversed(range(set_pace)))
    recent = tuple(round(each, 1) for each in sent)
    line = schedule.line + 1
    return replace(limited, line=line, first=now, end=now + step, moved=_NONE, trial=None, recent=recent)


def _step(schedule: Schedule, at: datetime, now: datetime, set_pace: int) -> timedelta:
    """Return the time between a mail of the line and the next one."""
    if set_pace:
        at_once = at < now + _BURST_STEP * set_pace and _within(schedule, at) + 1 < set_pace
        return _BURST_STEP if at_once else WINDOW / set_pace
    trial = schedule.trial
    if trial is not None and trial.first <= at - schedule.moved <= trial.last:
        return WINDOW / trial.pace
    return WINDOW / schedule.pace if schedule.pace else schedule.step


def _within(schedule: Schedule, at: datetime) -> int:
    """Count the mails in the minute before a time."""
    last = (at - schedule.moved - START).total_seconds()
    return sum(last - _COUNTED < each < last - _ROUNDED.total_seconds() for each in schedule.recent)


def _next_of_line(schedule: Schedule, now: datetime) -> datetime:
    """Return the next slot of the line, as far as known.

    A mail that goes first gets no later slot.
    """
    first = (max(now, schedule.inserted_at) + _ROUNDED - schedule.moved - START).total_seconds()
    coming = [each for each in schedule.recent if each > first]
    return START + schedule.moved + timedelta(seconds=coming[0]) + _ROUNDED if coming else schedule.next_slot


def _exceeds(schedule: Schedule, at: datetime, set_pace: int) -> bool:
    """Return whether a minute that ends at a time or later exceeds the limit."""
    ends = (at - _ROUNDED - schedule.moved - START).total_seconds()
    minutes = zip(schedule.recent, schedule.recent[set_pace:], strict=False) if set_pace else ()
    return any(last >= ends and last - first < _COUNTED for first, last in minutes)


def _after_recent(schedule: Schedule, set_pace: int) -> datetime:
    """Return when the pace allows another mail.

    That is a minute after the mail that is `set_pace` mails back.
    """
    if len(schedule.recent) < set_pace:
        return START
    return START + timedelta(seconds=schedule.recent[-set_pace]) + schedule.moved + WINDOW


def _logged(schedule: Schedule, at: datetime, now: datetime, set_pace: int) -> Schedule:
    """Store a slot; keep the line's last slots and those of the last minute."""
    recent = list(schedule.recent)
    # Rounded down, so that rounding does not lengthen the line.
    tenths = round(10 * (at - schedule.moved - START).total_seconds(), 3)
    insort(recent, floor(tenths) / 10)
    last = (now - schedule.moved - START).total_seconds()
    sent = [each for each in recent[: -2 * set_pace] if last - WINDOW.total_seconds() < each <= last]
    return replace(schedule, recent=(*sent, *recent[-2 * set_pace :]))
