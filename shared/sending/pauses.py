"""How this process spares mailboxes: four requests at a time, and none while Graph wants one left alone.

The other mails of such a mailbox wait without asking: every early attempt counts against it.
https://learn.microsoft.com/graph/throttling
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.errors import TransientError

if TYPE_CHECKING:
    from shared.settings.sender import Sender

#: https://learn.microsoft.com/graph/throttling-limits: of one app, for one mailbox.
IN_FLIGHT = 4
#: What is waited where Graph does not say how long.
UNSAID = timedelta(seconds=10)
_ASKS_FOR_A_PAUSE = frozenset({"mailbox_throttled", "sending_limit_reached"})


class Pauses:
    """Until when each mailbox is left alone; used by all threads of a process.

    `now` is the steady time of the process: a clock that is set back must not lengthen a pause.
    """

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], datetime] = {}
        self._turns: dict[tuple[str, str], threading.Semaphore] = {}
        self._lock = threading.Lock()

    def turn(self, sender: Sender) -> threading.Semaphore:
        """Return what is held during a request: `with pauses.turn(sender): ...`."""
        with self._lock:
            return self._turns.setdefault(_mailbox(sender), threading.Semaphore(IN_FLIGHT))

    def check(self, sender: Sender, now: datetime) -> None:
        """Let a call to a mailbox pass.

        Raises:
            TransientError: `mailbox_paused`, with what is left of the pause.
        """
        with self._lock:
            until = self._until.get(_mailbox(sender), now)
        if until > now:
            raise TransientError("mailbox_paused", retry_after=until - now, address=sender.mailbox_address)

    def note(self, sender: Sender, error: TransientError, now: datetime) -> None:
        """Remember what an answer asked for, if it is about the mailbox; a longer pause stands."""
        if error.code not in _ASKS_FOR_A_PAUSE:
            return
        until = now + (UNSAID if error.retry_after is None else error.retry_after)
        with self._lock:
            known = self._until.get(_mailbox(sender), until)
            self._until[_mailbox(sender)] = max(until, known)


def _mailbox(sender: Sender) -> tuple[str, str]:
    """Name the mailbox that Graph counts for: the account's own, or the one in the path."""
    return sender.tenant_id, sender.account if sender.mailbox == "me" else sender.mailbox
