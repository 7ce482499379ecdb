"""Record that a mail is handed over to Graph, directly before it is sent.

If the worker crashes before this record, the mail was certainly not sent. If it crashes after the record, the
outcome is uncertain.

A mail without a row in the delivery log is claimed by the same write, so the record needs no additional call.
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
from shared.time_limit import extend_for_recording

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
    """Write the record, unless the row has it already.

    Raises:
        AttemptTooLongError: the attempt has taken too long to send the mail now.
        NotRecordedError: storage does not respond; then nothing is sent.
        MailKnownError, ClaimLostError, SendingPausedError: this worker may not send the mail now.
    """
    if attempt.delivery.hand_over is not None:
        return
    mailbox.check_time()
    started = Moment.of(ports.system)
    now = started.calendar
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
    if started.has_passed(MAX_SWITCH_AGE, ports.system):
        # The write took so long that sending may have been paused meanwhile. An operator who waits until no
        # mail is being sent may have listed the claims before this one was stored.
        check_not_paused(ports)


def withdraw_hand_over(attempt: Attempt, ports: SendingServices) -> None:
    """Remove the record, because Graph refused the token and sent nothing.

    So the outcome is not uncertain if the worker crashes while it waits for a new token.

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
    """Claim a mail that was assumed to be new and is not claimed yet.

    Raises:
        MailKnownError: it has a row.
    """
    if not attempt.claimed and not claim_new(attempt, ports):
        raise MailKnownError


class ReleaseClaimOnError:
    """Releases the claim after an error, unless the mail may have been sent.

    After the error the message is redelivered. If the claim was not released, the next worker would have to
    assume that the mail may have been sent.
    """

    def __init__(self, attempt: Attempt, ports: SendingServices) -> None:
        self._attempt = attempt
        self._ports = ports

    def __enter__(self) -> None:
        """Do nothing: the claim exists already, or is written later."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Release the claim after an error."""
        if isinstance(error, Exception) and not self._attempt.has_unrecorded_send:
            self._release()

    def _release(self) -> None:
        attempt = self._attempt
        if not attempt.claimed:
            return
        row = attempt.delivery.without_claim()
        with suppress(ProblemError), extend_for_recording():
            if attempt.maybe_accepted:
                row = replace(row, warnings=row.warnings_with(MAYBE_ACCEPTED, self._ports.system.now()))
            if self._ports.deliveries.save(row):
                attempt.claimed = attempt.claim_tried = False
                if row.warnings != attempt.delivery.warnings:
                    log_possible_duplicate(row)
