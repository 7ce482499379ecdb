"""When the mails of one mailbox may be sent, over all hosts. Pure.

Every mail has its slot in a line, first in, first out. A mail that goes first (a retry, a test mail) and a
pause that Graph asks for move the whole line back: a slot in the line is stored without that, and `moved` is
added when it is read. So a mail that waits in the queue keeps its place, and nothing but this value changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.stored import Stored

if TYPE_CHECKING:
    from shared.deliveries.slot import Slot
    from shared.settings.sender import Sender

#: A minute, and what clocks and networks may differ.
WINDOW: Final = timedelta(seconds=60.5)
#: How long every host that has sent something may say how much, once the rate is known to be limited.
LEARNING: Final = timedelta(seconds=5)
FIRST_TRIAL = timedelta(minutes=10)
START = datetime(1970, 1, 1, tzinfo=UTC)
#: A mail is tried for a day, and Graph is left alone for an hour: a time further ahead was written by a host
#: whose clock was wrong.
_FURTHEST = timedelta(days=2)
_MAX_PAUSE = timedelta(hours=2)
#: A mail that comes later than this has lost its slot: the app was away, and many are late.
_MISSED = timedelta(seconds=60)
#: What storage's clock and a host's may differ: an answer tells its second.
_UNNOTICED = timedelta(seconds=3)
_NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Trial(Stored):
    """Mails of the line that are sent at a higher pace, to learn whether Graph takes that."""

    pace: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Schedule(Stored):
    """The line of one mailbox.

    Attributes:
        line: a number; another one begins when the first pace is learned or the operator's limit falls,
            because its slots are others.
        first: where the line begins; the time before it is for mails that were refused already.
        end: where the line ends: the slot that the next mail gets.
        moved: what is added to each slot of the line.
        inserted_at: the last slot before the line.
        pace: how many mails a minute, once that was learned; 0 before.
        step: the time between two mails while all hosts share four requests.
        sharing_until: until when they do.
        paused_until: until when Graph wants no mail.
        refused: how many mails were refused lately, before the pace was learned.
        judged_from: when the mails begin that have the present pace; an earlier refusal does not concern it.
        learning_since: when the rate was found to be limited; None once the pace is known.
        counts: how many mails each process had accepted in the minute before.
        trial: a higher pace that is being tried.
        next_trial: after what time without a refusal the next one begins.
        recent: the last slots, in seconds, where the pace is set.
        limit: the pace that was set when the last slot was given out; 0 where it was learned.
        uploads: in seconds, when large files were or will be begun, and how many bytes they have.
        etag: the version that was read; None where nothing is stored yet.
    """

    line: int = 0
    first: datetime = START
    end: datetime = START
    moved: timedelta = _NONE
    inserted_at: datetime = START
    pace: int = 0
    step: timedelta = _NONE
    sharing_until: datetime = START
    paused_until: datetime = START
    refused: int = 0
    judged_from: datetime = START
    learning_since: datetime | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    trial: Trial | None = None
    next_trial: timedelta = FIRST_TRIAL
    recent: tuple[float, ...] = ()
    limit: int = 0
    uploads: tuple[tuple[int, int], ...] = ()
    etag: str | None = None

    def is_open(self, now: datetime, set_pace: int) -> bool:
        """Whether nothing limits the mails."""
        limited = set_pace or self.pace or self.learning_since is not None
        return not limited and now >= max(self.sharing_until, self.paused_until)

    def exceeds(self, set_pace: int, now: datetime) -> bool:
        """Whether mails wait for slots that lie closer to each other than the operator's limit allows."""
        pace = self.limit or self.pace or (WINDOW // self.step if self.step else 0)
        return 0 < set_pace < pace and self.next_slot > now

    @property
    def next_slot(self) -> datetime:
        """When a mail that takes its place in the line now is to be sent, or somewhat later."""
        return max(self.end + self.moved, self.paused_until)

    def believed(self, now: datetime) -> Schedule:
        """Return the schedule, or a new line where its times cannot be true: no mail would be sent."""
        pauses = max(self.paused_until, self.sharing_until, self.learning_since or START)
        uploads = START + timedelta(seconds=self.uploads[-1][0] if self.uploads else 0)
        others = max(self.next_slot, self.inserted_at, self.judged_from, uploads)
        if pauses <= now + _MAX_PAUSE and others <= now + _FURTHEST:
            return self
        return Schedule(line=self.line + 1, pace=self.pace, etag=self.etag)

    def due(self, slot: Slot) -> datetime:
        """Return when a mail with this slot is to be sent, as far as is known by now."""
        return slot.at if slot.inserted else slot.at + self.moved

    def moved_back(self, by: timedelta, now: datetime) -> Schedule:
        """Move the line back; what was sent before, or stands before it, stays where it was."""
        first = (max(now, self.inserted_at) - self.moved - START).total_seconds()
        seconds = by.total_seconds()
        recent = sorted(round(each - seconds, 3) if each <= first else each for each in self.recent)
        return replace(self, moved=self.moved + by, recent=tuple(recent))

    def has_place(self, slot: Slot) -> bool:
        """Whether a slot is one of this line; one that lies far behind its end was given out for another."""
        last = max(self.next_slot, self.inserted_at)
        return slot.line == self.line and self.due(slot) <= last + _MISSED

    def is_missed(self, slot: Slot, now: datetime) -> bool:
        """Whether a slot is over: long ago, or before a pause that moved only the line."""
        paused = slot.inserted and slot.at < self.paused_until and now < self.paused_until
        return paused or now - self.due(slot) > _MISSED

    def is_learning(self, now: datetime) -> bool:
        """Whether hosts still say how much was accepted; no slots are given out meanwhile."""
        return self.learning_since is not None and now < self.learning_since + LEARNING


def clock_ahead(said: datetime | None, asked: datetime, answered: datetime) -> timedelta:
    """Return how far storage's clock is ahead of this host's, by an answer that may have taken long."""
    if said is None or asked - _UNNOTICED <= said <= answered + _UNNOTICED:
        return _NONE
    return said - answered


def mailbox_key(sender: Sender) -> tuple[str, str]:
    """Name the mailbox that Graph counts for: the account's own, or the one in the path."""
    return sender.tenant_id, sender.account if sender.mailbox == "me" else sender.mailbox


def schedule_key(sender: Sender, installation: str | None) -> str:
    """Name a mailbox's schedule; `installation`: the client id, because Graph counts for each app."""
    text = "\n".join((installation or "", *mailbox_key(sender)))
    return hashlib.sha256(text.encode()).hexdigest()


def mailbox_mark(key: str) -> str:
    """Return the part of a schedule's name that is stored with each of its slots."""
    return key[:8]
