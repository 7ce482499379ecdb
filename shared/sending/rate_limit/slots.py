"""Reserve the slots of a mailbox's mails. Pure.

With a pace that the operator has set, a mailbox that has not used up its minute sends at once: such a slot is
fixed. The other mails form the line, in which slots are one step apart. A mail that goes first takes the next
slot of the line, which is shifted back by one step, so it uses the same times as before and one more at its
end. That is why no minute exceeds the limit, whatever order mails and retries come in.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from math import ceil, floor

from shared.deliveries.slot import Slot
from shared.sending.rate_limit.pace import maybe_start_trial, settle_pace
from shared.sending.rate_limit.schedule import START, WINDOW, Schedule

#: The time between mails that an idle mailbox sends in a burst.
_BURST_STEP = timedelta(milliseconds=250)
_MOMENT = timedelta(milliseconds=1)
#: The host polls an idle queue every five seconds (`maxPollingInterval`).
_POLLING_INTERVAL = timedelta(seconds=5)
_NONE = timedelta(0)


def visible_after(wait: timedelta) -> timedelta:
    """Return the visibility delay of a mail whose slot is `wait` ahead.

    It becomes visible early and waits for the rest in a worker. There its row no longer shows that it waits,
    so the delay is not much shorter than the wait.
    """
    return max(wait - _POLLING_INTERVAL, wait / 2, _NONE)


def reserve(schedule: Schedule, count: int, now: datetime, set_pace: int) -> tuple[Schedule, list[Slot]]:
    """Reserve slots at the end of the line.

    `set_pace` is the operator's limit; 0 if the pace is learned.
    """
    schedule = _apply_limit(settle_pace(schedule, now), now, set_pace)
    slots: list[Slot] = []
    for _ in range(count):
        schedule, slot = _at_set_pace(schedule, now, set_pace) if set_pace else _at_learned(schedule, now)
        slots.append(slot)
    return schedule, slots


def insert(schedule: Schedule, now: datetime, set_pace: int) -> tuple[Schedule, Slot]:
    """Reserve a slot before the line, which is shifted back by one.

    It is a new slot at the end if nothing waits.
    """
    schedule = _apply_limit(settle_pace(schedule, now), now, set_pace)
    step = WINDOW / set_pace if set_pace else _learned_step(schedule, now)
    # A slot at exactly this time belongs to another mail.
    earliest = max(now + timedelta.resolution, schedule.paused_until, schedule.inserted_at + step)
    first, end = schedule.first + schedule.shift, schedule.end + schedule.shift
    if set_pace:
        earliest = max(earliest, first)
    elif earliest + step <= first:
        return replace(schedule, inserted_at=earliest), Slot(earliest, schedule.line, inserted=True)
    places = (end - earliest) // step if step else 0
    if places <= 0:
        schedule, slots = reserve(schedule, 1, now, set_pace)
        return schedule, slots[0]
    at = end - places * step
    changed = replace(schedule.shifted(step, now), first=schedule.first - step, inserted_at=at)
    return changed, Slot(at, changed.line, inserted=True)


def mails_before(schedule: Schedule, moment: datetime, now: datetime, set_pace: int) -> int | None:
    """Estimate how many mails are sent from now until a time.

    None while no pace is known. The row has no list of the waiting mails, so that its size does not depend on
    their number: they are counted by the steps between their slots.
    """
    start = max(now, schedule.paused_until)
    if set_pace:
        step = WINDOW / set_pace
        fixed = sum(start < each < moment for each in _fixed(schedule))
        sent = _line_until(schedule, start + _MOMENT, step)
        return fixed + max(_line_until(schedule, moment - _MOMENT, step) - sent, 0)
    step = _usual_step(schedule)
    return max(moment - start, _NONE) // step if step else None


def _apply_limit(schedule: Schedule, now: datetime, set_pace: int) -> Schedule:
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
    return replace(
        limited,
        line=schedule.line + 1,
        first=now - step * set_pace,
        end=now + step,
        shift=_NONE,
        missed=START,
        trial=None,
        fixed_slots=(),
    )


def _at_learned(schedule: Schedule, now: datetime) -> tuple[Schedule, Slot]:
    at = max(now, schedule.next_slot)
    schedule = maybe_start_trial(schedule, at, now)
    slot = Slot(at - schedule.shift, schedule.line)
    return replace(schedule, end=slot.at + _learned_step(schedule, at)), slot


def _learned_step(schedule: Schedule, at: datetime) -> timedelta:
    """Return the time between a mail of the line and the next one."""
    trial = schedule.trial
    if trial is not None and trial.first <= at - schedule.shift <= trial.last:
        return WINDOW / trial.pace
    return _usual_step(schedule)


def _usual_step(schedule: Schedule) -> timedelta:
    return WINDOW / schedule.pace if schedule.pace else schedule.step


def _at_set_pace(schedule: Schedule, now: datetime, set_pace: int) -> tuple[Schedule, Slot]:
    step = WINDOW / set_pace
    end = schedule.end + schedule.shift
    latest = _latest(schedule, now, set_pace)
    if schedule.first < schedule.end and end - step > now:
        slot = Slot(schedule.end, schedule.line)
        return replace(schedule, end=schedule.end + step), slot
    at = max(now, latest[-1] + _BURST_STEP) if latest else now
    is_burst = at == now or step > _BURST_STEP
    if len(latest) < set_pace and is_burst and now >= schedule.paused_until:
        latest.append(at)
        following = at + _BURST_STEP if len(latest) < set_pace else _line_start(latest, at, step)
        slot = Slot(at, schedule.line, inserted=True)
        first = end = following - schedule.shift
    else:
        at = _line_start(latest, max(now, schedule.paused_until), step)
        slot = Slot(at - schedule.shift, schedule.line)
        first, end = slot.at, slot.at + step
    return replace(schedule, fixed_slots=_stored(latest), first=first, end=end), slot


def _latest(schedule: Schedule, now: datetime, set_pace: int) -> list[datetime]:
    """Return the slots from a minute ago on, at most as many as the limit."""
    step = WINDOW / set_pace
    end = schedule.end + schedule.shift
    line = [
        end - step * back for back in range(min((schedule.end - schedule.first) // step, set_pace), 0, -1)
    ]
    return [each for each in (*_fixed(schedule), *line) if each > now - WINDOW][-set_pace:]


def _line_start(latest: list[datetime], earliest: datetime, step: timedelta) -> datetime:
    """Return the first time from which mails one step apart keep the limit."""
    return max([earliest, *(each + step * (len(latest) - place) for place, each in enumerate(latest))])


def _line_until(schedule: Schedule, moment: datetime, step: timedelta) -> int:
    """Count the slots of the line before a time."""
    count = (schedule.end - schedule.first) // step
    start = schedule.end + schedule.shift - step * count
    return min(max(ceil((moment - start) / step), 0), count)


def _fixed(schedule: Schedule) -> list[datetime]:
    return [START + timedelta(seconds=each) for each in schedule.fixed_slots]


def _stored(times: list[datetime]) -> tuple[float, ...]:
    """Return times in seconds, rounded down to tenths to keep the row small."""
    return tuple(floor(round(10 * (each - START).total_seconds(), 3)) / 10 for each in times)
