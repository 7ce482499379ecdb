"""Record that a mail is handed to Graph, directly before it is: nothing else makes its outcome uncertain.

A mail that the delivery log does not know is claimed by the same write, so that the record costs no call.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shared.deliveries.delivery import HandOver
from shared.sending.persist import persist
from shared.settings.sending_switch import MAX_AGE
from shared.world import Moment

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.sending.attempt import Attempt
    from shared.sending.dependencies import Sending
    from shared.sending.mailbox import Mailbox
    from shared.settings.sending_switch import SendingPause


class MailKnownError(Exception):
    """The delivery log knows the mail already, so its row decides what is done."""


class ClaimLostError(Exception):
    """Another worker has taken the mail over before it was handed to Graph."""


class SendingPausedError(Exception):
    """Sending was paused before the mail was handed to Graph."""

    def __init__(self, pause: SendingPause) -> None:
        super().__init__("Sending is paused.")
        self.pause = pause


def check_switch(ports: Sending) -> None:
    """Raise SendingPausedError while sending is paused."""
    pause = ports.switch.current_pause()
    if pause is not None:
        raise SendingPausedError(pause)


def record_hand_over(attempt: Attempt, mailbox: Mailbox, ports: Sending) -> None:
    """Write the record, once in an attempt.

    Raises:
        TransientError: the attempt has taken too long to begin now.
        NotRecordedError: storage does not answer; nothing is handed over then.
        MailKnownError, ClaimLostError, SendingPausedError: the mail is not this worker's to send now.
    """
    if attempt.delivery.hand_over is not None:
        return
    mailbox.check_time()
    begun = Moment.of(ports.world)
    now = begun.calendar
    mark = HandOver(now, mailbox.sender.consent.generation)
    if attempt.claimed:
        row = replace(attempt.delivery, hand_over=mark)
        saved = persist(lambda: ports.deliveries.save(row), ports.world)
        if saved is None:
            raise ClaimLostError
        attempt.delivery = saved
        return
    check_switch(ports)
    attempt.claim_tried = True
    attempt.take(_add(replace(attempt.next_claim(now), hand_over=mark), ports))
    if begun.has_passed(MAX_AGE, ports.world):
        # Who waits for sending to end may have looked for claims before this one was written.
        check_switch(ports)


def withdraw_hand_over(attempt: Attempt, ports: Sending) -> None:
    """Remove the record, because Graph refused the token and so took nothing.

    A worker that is killed while it waits for a new token leaves no doubt.

    Raises:
        NotRecordedError: storage does not answer.
        ClaimLostError: another worker has the mail by now.
    """
    row = replace(attempt.delivery, hand_over=None)
    saved = persist(lambda: ports.deliveries.save(row), ports.world)
    if saved is None:
        raise ClaimLostError
    attempt.delivery = saved


def _add(row: Delivery, ports: Sending) -> Delivery:
    added = persist(lambda: ports.deliveries.add(row), ports.world)
    if added is None:
        raise MailKnownError
    return added
