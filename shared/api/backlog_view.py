"""Define the settings' view of mails that wait for the rate limit."""

from __future__ import annotations

from datetime import datetime

from shared.schema import Contract


class BacklogView(Contract):
    """The mails that wait because of the mailbox's rate limit.

    `mails` is estimated from time and pace. `emptyAt` is about when the last of them is sent.
    """

    mails: int
    empty_at: datetime
