"""The mails of a mailbox that wait for its rate limit, as the settings show them."""

from __future__ import annotations

from datetime import datetime

from shared.contract import Contract


class BacklogView(Contract):
    """The mails that wait because the mailbox sends only so many a minute.

    `mails` is an estimate, from time and pace. `emptyAt`: about when the last of them is sent.
    """

    mails: int
    empty_at: datetime
