"""Mailboxes that Graph asked to leave alone for a while, as this process knows them.

Their other mails wait without asking: every early attempt counts against the mailbox.
https://learn.microsoft.com/graph/throttling
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.errors import TransientError

if TYPE_CHECKING:
    from shared.settings.sender import Sender

#: What is waited where Graph does not say how long.
UNSAID = timedelta(seconds=10)
_ASKS_FOR_A_PAUSE = frozenset({"mailbox_throttled", "sending_limit_reached"})


class Pauses:
    """Until when each mailbox is left alone; used by all threads of a process."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], datetime] = {}
        self._lock = threading.Lock()

    def check(self, sender: Sender, now: datetime) -> None:
        """Let a call to a mailbox pass.

        Raises:
            TransientError: `mailbox_paused`, with what is left of the pause.
        """
        with self._lock:
            until = self._until.get(_mailbox(sender), now)
        if until > now:
            raise TransientError("mailbox_paused", retry_after=until - now, address=sender.address)

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
