"""Define the settings' view of mails that wait for the rate limit."""

from __future__ import annotations

from datetime import datetime

from shared.schema import Contract


class BacklogView(Contract):
    """The mails that wait because of the mailbox's rate limit.

    `mails` is an estimate from the length of the schedule and its pace. `emptyAt` is the estimated time at
    which the last of these mails is sent.
    """

    mails: int
    empty_at: datetime
