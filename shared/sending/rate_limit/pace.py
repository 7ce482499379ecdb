"""Learn the pace and the pauses of a mailbox from Graph's refusals. Pure.

Graph publishes no rate. Mails are sent as they arrive until the first refusal; then all hosts share the four
concurrent requests that Graph allows. A refusal that asks for a longer wait is caused by the rate: the number
of mails accepted in the minute before becomes the pace (at least 30), and from time to time some mails are
sent at a higher pace as a trial.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shared.sending.rate_limit.schedule import FIRST_TRIAL, WINDOW, Schedule, Trial

#: The wait if Graph gives none.
DEFAULT_RETRY_AFTER: Final = timedelta(seconds=10)
#: A shorter wait is implausible: the mailbox would refuse the next mail too.
_MIN_WAIT = timedelta(seconds=1)
#: A longer wait is implausible: one mail is tried again after `PROBE_INTERVAL`.
_MAX_PAUSE = timedelta(hours=1)
PROBE_INTERVAL: Final = timedelta(minutes=10)
#: For more than four concurrent requests Graph asks for a shorter wait than this.
_MIN_RATE_WAIT = timedelta(seconds=10)
#: After this time every process has read that the requests are shared.
_PROPAGATION_TIME = timedelta(seconds=5)
_MIN_STEP = timedelta(milliseconds=100)
_MAX_STEP = timedelta(seconds=5)
#: Exchange documents this rate for SMTP submission. A lower count means that fewer mails were sent in that
#: minute, or that Graph refused for another reason than this mailbox's rate.
_MIN_LEARNED_PACE = 30
#: The lower limit, in case refusals have another reason than the rate and last for hours.
_MIN_PACE = 10
_MAX_TRIAL = timedelta(hours=2)
#: How long all hosts share four requests after Graph received too many.
_SHARING_TIME = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal by Graph, and what the process knows.

    Attributes:
        wait: the wait that Graph asks for.
        process: the id of the process.
        accepted: the number of its mails that were accepted in the minute before.
        latency: the duration of its requests.
        quota_reached: the limit of an hour or a day is reached, which is independent of the pace.
    """

    wait: timedelta | None
    process: str
    accepted: int
    latency: timedelta
    quota_reached: bool = False


def apply_refusal(schedule: Schedule, refusal: Refusal, now: datetime, set_pace: int) -> Schedule:
    """Pause after a refusal, and adjust the pace."""
    default = PROBE_INTERVAL if refusal.quota_reached else DEFAULT_RETRY_AFTER
    wait = default if refusal.wait is None or refusal.wait < _MIN_WAIT else refusal.wait
    until = now + (PROBE_INTERVAL if wait > _MAX_PAUSE else wait)
    paused = schedule.paused(until, now)
    return paused if set_pace or refusal.quota_reached else _learn_pace(paused, schedule, refusal, wait, now)


def add_report(schedule: Schedule, process: str, accepted: int) -> Schedule:
    """Add a process's accepted mails of the minute before learning began."""
    return replace(schedule, counts={**schedule.counts, process: accepted})


def _learn_pace(
    schedule: Schedule, before: Schedule, refusal: Refusal, wait: timedelta, now: datetime
) -> Schedule:
    """Choose the pace; `before` is the schedule when the mail was sent."""
    if not schedule.pace:
        schedule = replace(schedule, refused=schedule.refused + 1)
    if schedule.learning_since is not None:
        return add_report(settle_pace(schedule, now), refusal.process, refusal.accepted)
    if schedule.pace:
        return _lower_pace(schedule, before, now)
    if wait >= _MIN_RATE_WAIT:
        line = schedule.line + 1
        learning = replace(schedule, line=line, end=now, learning_since=now, counts={})
        return add_report(learning, refusal.process, refusal.accepted)
    shared_since = schedule.sharing_until - _SHARING_TIME
    if now >= schedule.sharing_until:
        step = max(refusal.latency / 2, _MIN_STEP)
        return replace(schedule, sharing_until=now + _SHARING_TIME, step=step, refused=1)
    if now < shared_since + _PROPAGATION_TIME:
        return schedule
    step = min(schedule.step * 3 / 2, _MAX_STEP)
    # The mails that were refused before have been sent since.
    return replace(schedule, sharing_until=now + _SHARING_TIME, step=step, refused=1)


def _lower_pace(schedule: Schedule, before: Schedule, now: datetime) -> Schedule:
    """End a trial, or lower the pace; of concurrent refusals one counts."""
    trial = before.trial
    if trial is not None and trial.first + before.shift <= now:
        longer = min(2 * schedule.next_trial, _MAX_TRIAL)
        over = trial.last + schedule.shift + WINDOW
        return replace(schedule, trial=None, refusals_count_from=over, next_trial=longer)
    if now < schedule.refusals_count_from:
        return schedule
    slower = max(schedule.pace - max(schedule.pace // 20, 1), min(schedule.pace, _MIN_PACE))
    return replace(schedule, pace=slower, refusals_count_from=_when_all_have_new_pace(schedule, now))


def settle_pace(schedule: Schedule, now: datetime) -> Schedule:
    """Set the pace from all reports, or from a trial without a refusal."""
    if schedule.learning_since is not None and not schedule.is_learning(now):
        pace = max(sum(schedule.counts.values()), _MIN_LEARNED_PACE)
        first = max(now, schedule.paused_until) + WINDOW / pace * schedule.refused - schedule.shift
        # A process that had not yet read of the learning may have reserved slots at the pace of before.
        line = schedule.line + 1
        learned = replace(schedule, line=line, pace=pace, learning_since=None, counts={}, refused=0)
        return replace(learned, first=first, end=first, refusals_count_from=first + schedule.shift + WINDOW)
    trial = schedule.trial
    if trial is not None and now > trial.last + schedule.shift + WINDOW:
        # A trial lasts half a minute, so Graph has accepted a minute with the mean of both paces.
        pace = (schedule.pace + trial.pace) // 2
        over = _when_all_have_new_pace(schedule, now)
        return replace(schedule, trial=None, pace=pace, refusals_count_from=over, next_trial=FIRST_TRIAL)
    return schedule


def maybe_start_trial(schedule: Schedule, at: datetime, now: datetime) -> Schedule:
    """Begin a trial if mails wait and there was no refusal for long enough."""
    rested = now - schedule.refusals_count_from >= schedule.next_trial
    if not schedule.pace or schedule.trial is not None or not rested or at <= now:
        return schedule
    pace = max(schedule.pace + schedule.pace // 5, _MIN_LEARNED_PACE)
    first = at - schedule.shift
    return replace(schedule, trial=Trial(pace, first, first + WINDOW / 2))


def _when_all_have_new_pace(schedule: Schedule, now: datetime) -> datetime:
    """Return when the mails of the last minute all have the new pace.

    The mails that wait now keep the slots of the pace before.
    """
    return max(schedule.end + schedule.shift, now) + WINDOW
