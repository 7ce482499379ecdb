"""Record that a mail is sent to Graph, directly before it is.

Only then does its outcome become uncertain.

A mail that the delivery log does not know is claimed by the same write, so that the record needs no extra
call.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.deliveries.delivery import MAYBE_ACCEPTED
from shared.deliveries.uncertain_send import HandOver
from shared.errors import ProblemError
from shared.sending.errors import ClaimLostError, MailKnownError, SendingPausedError
from shared.sending.record_warnings import log_possible_duplicate
from shared.sending.storage_outage import persist
from shared.settings.sending_switch import MAX_SWITCH_AGE
from shared.system import Moment
from shared.time_limit import recording

if TYPE_CHECKING:
    from types import TracebackType

    from shared.deliveries.delivery import Delivery
    from shared.sending.attempt import Attempt
    from shared.sending.mailbox import Mailbox
    from shared.sending.ports import SendingServices


def check_not_paused(ports: SendingServices) -> None:
    """Raise SendingPausedError while sending is paused."""
    pause = ports.switch.current_pause()
    if pause is not None:
        raise SendingPausedError(pause)


def record_hand_over(attempt: Attempt, mailbox: Mailbox, ports: SendingServices) -> None:
    """Write the record, unless the row has it.

    Raises:
        TransientError: the attempt has taken too long to begin now.
        NotRecordedError: storage does not respond; then nothing is sent.
        MailKnownError, ClaimLostError, SendingPausedError: this worker may not send the mail now.
    """
    if attempt.delivery.hand_over is not None:
        return
    mailbox.check_time()
    begun = Moment.of(ports.system)
    now = begun.calendar
    hand_over = HandOver(now, mailbox.sender.consent.version)
    if attempt.claimed:
        row = replace(attempt.delivery, hand_over=hand_over)
        saved = persist(lambda: ports.deliveries.save(row), ports.system)
        if saved is None:
            raise ClaimLostError
        attempt.delivery = saved
        return
    check_not_paused(ports)
    attempt.claim_tried = True
    attempt.continue_with_claim(_add(attempt.next_claim(now, hand_over), ports))
    if begun.has_passed(MAX_SWITCH_AGE, ports.system):
        # An operator who waits for sending to end may have listed the claims before this one was written.
        check_not_paused(ports)


def withdraw_hand_over(attempt: Attempt, ports: SendingServices) -> None:
    """Remove the record, as Graph refused the token and accepted nothing.

    So the send is not uncertain if the worker is killed while it waits for a new token.

    Raises:
        NotRecordedError: storage does not respond.
        ClaimLostError: another worker has claimed the mail.
    """
    row = replace(attempt.delivery, hand_over=None)
    saved = persist(lambda: ports.deliveries.save(row), ports.system)
    if saved is None:
        raise ClaimLostError
    attempt.delivery = saved


def _add(row: Delivery, ports: SendingServices) -> Delivery:
    added = persist(lambda: ports.deliveries.add(row), ports.system)
    if added is None:
        raise MailKnownError
    return added


def claim_new(attempt: Attempt, ports: SendingServices) -> bool:
    """Claim a mail that has no row; False if it has one."""
    attempt.claim_tried = True
    row = attempt.next_claim(ports.system.now())
    added = persist(lambda: ports.deliveries.add(row), ports.system)
    if added:
        attempt.continue_with_claim(added)
    return added is not None


def ensure_claimed(attempt: Attempt, ports: SendingServices) -> None:
    """Claim a mail that was taken for a new one before it was claimed.

    Raises:
        MailKnownError: it has a row.
    """
    if not attempt.claimed and not claim_new(attempt, ports):
        raise MailKnownError


class ReleaseClaimOnError:
    """Releases the claim unless the mail may have been sent.

    The message is redelivered, and a claim that was not released makes the send uncertain.
    """

    def __init__(self, attempt: Attempt, ports: SendingServices) -> None:
        self._attempt = attempt
        self._ports = ports

    def __enter__(self) -> None:
        """Do nothing: the claim is held already, or written with the hand-over."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Release it; a row that was written meanwhile is not changed."""
        if isinstance(error, Exception) and not self._attempt.has_unrecorded_send:
            self._release()

    def _release(self) -> None:
        attempt = self._attempt
        if not attempt.claimed:
            return
        row = attempt.delivery.without_claim()
        with suppress(ProblemError), recording():
            if attempt.maybe_accepted:
                row = replace(row, warnings=row.warnings_with(MAYBE_ACCEPTED, self._ports.system.now()))
            if self._ports.deliveries.save(row):
                attempt.claimed = attempt.claim_tried = False
                if row.warnings != attempt.delivery.warnings:
                    log_possible_duplicate(row)
