"""Schedule the mails of one mailbox, across all hosts. Pure.

The waiting mails of a mailbox form a line, first in, first out; each has a slot in it. Two events shift the
whole line to later times: a pause that Graph asks for, and a mail that goes first (a retry, a test mail). A
slot is stored without this shift, and `Schedule.shift` is added when the slot is read. So one write of the
schedule shifts all waiting mails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.forward_compatible import Stored, stored_as

if TYPE_CHECKING:
    from shared.deliveries.slot import Slot
    from shared.settings.sender import Sender

#: A minute, plus the differences between clocks and network delays.
WINDOW: Final = timedelta(seconds=60.5)
#: Once the rate is known to be limited, each host has this long to report how many mails it has sent.
LEARNING: Final = timedelta(seconds=5)
FIRST_TRIAL = timedelta(minutes=10)
START = datetime(1970, 1, 1, tzinfo=UTC)
#: A mail is tried for a day, and a pause lasts at most an hour: a time further ahead was written by a host
#: with a wrong clock.
_MAX_AHEAD = timedelta(days=2)
_MAX_PAUSE = timedelta(hours=2)
#: A mail that is later than this has lost its slot: the app was down, and many mails are late.
_MAX_DELAY = timedelta(seconds=60)
#: With an operator's limit: the mails of a longer delay, sent together, would exceed it.
_MAX_DELAY_AT_SET_PACE = timedelta(seconds=5)
#: The tolerated difference of storage's clock and a host's: a response has its time in whole seconds.
_MAX_IGNORED_SKEW = timedelta(seconds=3)
_NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Trial(Stored):
    """The part of the line sent at a higher pace, to test Graph's limit."""

    pace: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Schedule(Stored):
    """The schedule of one mailbox.

    Attributes:
        line: the number of the line. A new line begins when the first pace is learned or the operator's limit
            is lowered; slots of an earlier line are invalid.
        first: the start of the line; with a learned pace, mails that were refused go before it.
        end: the end of the line: the slot of the next mail.
        shift: what is added to the slots of the line.
        missed: slots up to this one, without the shift, had been missed when the line was last shifted.
        inserted_at: the last slot before the line.
        pace: mails per minute, once learned; 0 before.
        step: the time between two mails while all hosts share four requests.
        sharing_until: the end of that time.
        paused_until: the end of the pause that Graph asked for.
        refused: the number of recently refused mails, before the pace was learned.
        refusals_count_from: the time of the first mail at the present pace; earlier refusals do not count
            against it.
        learning_since: when the rate was found to be limited; None once the pace is known.
        counts: the number of each process's mails that were accepted in the minute before.
        trial: the current trial of a higher pace.
        next_trial: the time without a refusal after which the next trial begins.
        fixed_slots: the slots of the last minute that are not in the line, in seconds, if the operator has
            set a pace.
        limit: the operator's pace when the last slot was reserved; 0 if it was learned.
        uploads: the start of large uploads, past and planned, in seconds, and their size in bytes.
        etag: the version that was read; None if nothing is stored yet.
    """

    line: int = 0
    first: datetime = START
    end: datetime = START
    shift: timedelta = field(default=_NONE, metadata=stored_as("moved"))
    missed: datetime = START
    inserted_at: datetime = START
    pace: int = 0
    step: timedelta = _NONE
    sharing_until: datetime = START
    paused_until: datetime = START
    refused: int = 0
    refusals_count_from: datetime = field(default=START, metadata=stored_as("judged_from"))
    learning_since: datetime | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    trial: Trial | None = None
    next_trial: timedelta = FIRST_TRIAL
    fixed_slots: tuple[float, ...] = field(default=(), metadata=stored_as("recent"))
    limit: int = 0
    uploads: tuple[tuple[int, int], ...] = ()
    etag: str | None = None

    def is_unlimited(self, now: datetime, set_pace: int) -> bool:
        """Return whether nothing limits the mails."""
        limited = set_pace or self.pace or self.learning_since is not None
        return not limited and now >= max(self.sharing_until, self.paused_until)

    def exceeds(self, set_pace: int, now: datetime) -> bool:
        """Return whether reserved slots are closer than the limit allows."""
        learned = self.trial.pace if self.trial else self.pace
        pace = self.limit or learned or (WINDOW // self.step if self.step else 0)
        return 0 < set_pace < pace and self.next_slot > now

    @property
    def next_slot(self) -> datetime:
        """The earliest time for a mail that joins the line now."""
        return max(self.end + self.shift, self.paused_until)

    def if_plausible(self, now: datetime) -> Schedule:
        """Return the schedule, or a new line if its times are implausible.

        A host with a wrong clock wrote them; with such times no mail would be sent.
        """
        pauses = max(self.paused_until, self.sharing_until, self.learning_since or START)
        uploads = START + timedelta(seconds=self.uploads[-1][0] if self.uploads else 0)
        fixed = START + timedelta(seconds=max(self.fixed_slots, default=0))
        others = max(self.next_slot, self.inserted_at, self.refusals_count_from, uploads, fixed)
        if pauses <= now + _MAX_PAUSE and others <= now + _MAX_AHEAD:
            return self
        return Schedule(line=self.line + 1, pace=self.pace, etag=self.etag)

    def due(self, slot: Slot) -> datetime:
        """Return when a mail with this slot is due, as currently known."""
        return slot.at if slot.inserted else slot.at + self.shift

    def paused(self, until: datetime, now: datetime) -> Schedule:
        """Pause the mailbox; the line is shifted back if mails wait in it.

        A pause that is over changes nothing: the line is never shifted to an earlier time.
        """
        if until <= max(self.paused_until, now):
            return self
        waits = self.end + self.shift > now
        by = until - max(now, self.paused_until) if waits else _NONE
        return replace(self.shifted(by, now), paused_until=until)

    def shifted(self, by: timedelta, now: datetime) -> Schedule:
        """Shift the line back; slots that were missed stay missed."""
        missed = max(self.missed, now - self._tolerance - self.shift)
        return replace(self, shift=self.shift + by, missed=missed)

    def has_place(self, slot: Slot) -> bool:
        """Return whether a slot belongs to this line.

        A slot far behind its end was reserved in another line.
        """
        last = max(self.next_slot, self.inserted_at)
        return slot.line == self.line and self.due(slot) <= last + _MAX_DELAY

    def is_missed(self, slot: Slot, now: datetime) -> bool:
        """Return whether a slot has passed.

        A pause shifts only the line, so a slot before the line can fall into it.
        """
        paused = slot.inserted and slot.at < self.paused_until and now < self.paused_until
        missed = not slot.inserted and slot.at <= self.missed
        return paused or missed or now - self.due(slot) > self._tolerance

    @property
    def _tolerance(self) -> timedelta:
        return _MAX_DELAY_AT_SET_PACE if self.limit else _MAX_DELAY

    def is_learning(self, now: datetime) -> bool:
        """Return whether hosts still report what was accepted.

        No slots are reserved during that time.
        """
        return self.learning_since is not None and now < self.learning_since + LEARNING


def clock_ahead(storage_time: datetime | None, sent: datetime, received: datetime) -> timedelta:
    """Return how far storage's clock is ahead of this host's.

    `sent` and `received`: when this host sent the request and received the response that has storage's time.
    """
    if storage_time is None or sent - _MAX_IGNORED_SKEW <= storage_time <= received + _MAX_IGNORED_SKEW:
        return _NONE
    return storage_time - received


def mailbox_key(sender: Sender) -> tuple[str, str]:
    """Return the mailbox that Graph counts requests for.

    It is the account's own, or the one in the path.
    """
    return sender.tenant_id, sender.account if sender.mailbox == "me" else sender.mailbox


def schedule_key(sender: Sender, installation: str | None) -> str:
    """Return the key of a mailbox's schedule.

    `installation` is the client id, because Graph counts for each app.
    """
    text = "\n".join((installation or "", *mailbox_key(sender)))
    return hashlib.sha256(text.encode()).hexdigest()


def mailbox_mark(key: str) -> str:
    """Return the part of a schedule's key that is stored with each slot."""
    return key[:8]
