"""Claim a mail that the delivery log does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.sending.hand_over import MailKnownError
from shared.sending.persist import persist

if TYPE_CHECKING:
    from shared.sending.attempt import Attempt
    from shared.sending.ports import SendingServices


def claim_new(attempt: Attempt, ports: SendingServices) -> bool:
    """Claim a mail that has no row; False if it has one."""
    attempt.claim_tried = True
    row = attempt.next_claim(ports.system.now())
    added = persist(lambda: ports.deliveries.add(row), ports.system)
    if added:
        attempt.take(added)
    return added is not None


def claim_unless_claimed(attempt: Attempt, ports: SendingServices) -> None:
    """Claim a mail that was taken for a new one before it was claimed.

    Raises:
        MailKnownError: it has a row.
    """
    if not attempt.claimed and not claim_new(attempt, ports):
        raise MailKnownError
