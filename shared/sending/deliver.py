"""Process one queued message, from start to finish."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError, MailerError, TransientError
from shared.mail.payload import build_attachment, build_send_mail
from shared.sending.attempt import begin_attempt
from shared.sending.backoff_and_deadline import deadline, expired_error, goes_first
from shared.sending.claim import claim
from shared.sending.draft import send_as_draft
from shared.sending.draft_removal import discard_draft
from shared.sending.errors import (
    ClaimLostError,
    ConsentReplacedError,
    LaterSlotError,
    MailKnownError,
    SendingPausedError,
)
from shared.sending.hand_over import (
    ReleaseClaimOnError,
    check_not_paused,
    ensure_claimed,
    record_hand_over,
    withdraw_hand_over,
)
from shared.sending.mailbox import Mailbox
from shared.sending.paused import requeue_paused
from shared.sending.prepare import PreparedMail, Route, prepare
from shared.sending.queued import decode_if_possible, find_mail, message_key
from shared.sending.reconcile import (
    CopyWaitsError,
    contains_sent_mail,
    may_skip_search,
    search_mailbox,
    without_look_up,
)
from shared.sending.record_accepted import record_accepted
from shared.sending.record_failure import record_failure
from shared.sending.record_warnings import record_warnings
from shared.sending.requeue_for_slot import requeue_for_slot
from shared.sending.resolve_sender import check_expiry, resolve_sender
from shared.sending.storage_outage import NotRecordedError, problem_of
from shared.sending.unrecorded import queue_again, queue_unqueued
from shared.telemetry import Event, log_mail_event
from shared.time_limit import extend_for_recording, limit_invocation

if TYPE_CHECKING:
    from datetime import timedelta

    from shared.deliveries.uncertain_send import UncertainSend
    from shared.sending.attempt import Attempt, QueuedMail
    from shared.sending.draft_state import Draft
    from shared.sending.ports import FoundMail, SendingServices


#: Errors because of which the outcome of an attempt could not be recorded. Errors of the attempt itself are
#: handled before.
_NOT_RECORDED = (NotRecordedError, TransientError, ConfigurationError)


def deliver(raw: bytes, queue_id: str, ports: SendingServices, waited: timedelta | None = None) -> None:
    """Process one queued message; returning removes it from the queue.

    If storage fails, the message is queued again. `waited` is how long the message was in the queue.
    """
    key = message_key(raw)
    message = ports.claims.recall(key, raw)
    with limit_invocation(ports.system):
        try:
            mail = find_mail(message, queue_id, ports)
        except _NOT_RECORDED as error:
            queue_again(decode_if_possible(message), key, waited, problem_of(error), ports)
        else:
            if mail is not None:
                _deliver_mail(mail, queue_id, key, waited, ports)
        ports.claims.forget(key, message)
        if ports.claims.has_unqueued:
            queue_unqueued(ports)


def _deliver_mail(
    mail: QueuedMail, queue_id: str, key: str, waited: timedelta | None, ports: SendingServices
) -> None:
    attempt = begin_attempt(mail, queue_id, ports)
    try:
        with ports.claims.holding(attempt.claim_id):
            _try_to_send(attempt, ports)
    except _NOT_RECORDED as error:
        again = attempt.message_for_another_try()
        queue_again(again, key, waited, problem_of(error), ports)


def _try_to_send(attempt: Attempt, ports: SendingServices) -> None:
    """Send a mail, unless its row does not allow that.

    A mail from a scheduler is assumed to be new, which saves reading its row. If it turns out to have a row,
    the attempt starts again with this row.
    """
    try:
        check_not_paused(ports)
        if attempt.mail.maybe_new:
            try:
                _send_and_record(attempt, ports)
            except MailKnownError:
                attempt.restart()
            else:
                return
        if claim(attempt, ports):
            _send_and_record(attempt, ports)
    except SendingPausedError as paused:
        if attempt.claim_tried:
            # The claim may still be stored, but nothing was sent with it.
            attempt.restart()
        requeue_paused(attempt, paused.pause, ports)
    except ClaimLostError:
        log_mail_event(Event.MAIL_DUPLICATE_IGNORED, attempt.request)


def _send_and_record(attempt: Attempt, ports: SendingServices) -> None:
    with ReleaseClaimOnError(attempt, ports):
        try:
            request_id = _send(attempt, ports)
        except LaterSlotError as later:
            with extend_for_recording():
                requeue_for_slot(attempt, later, ports)
        except (MailerError, ConfigurationError) as error:
            with extend_for_recording():
                ensure_claimed(attempt, ports)
                record_failure(attempt, error, ports)
        else:
            with extend_for_recording():
                record_accepted(attempt, request_id, ports)


def _send(attempt: Attempt, ports: SendingServices) -> str | None:
    """Send the mail; return Graph's request id.

    Returns None if a look-up shows that an earlier attempt has sent the mail.
    """
    sender = resolve_sender(attempt.request, ports)
    mailbox = attempt.mailbox = Mailbox(sender, ports, attempt.begun)
    mailbox.before_hand_over = partial(_before_hand_over, attempt, mailbox, ports)
    mailbox.after_refused_token = partial(withdraw_hand_over, attempt, ports)
    found = None
    if attempt.delivery.uncertain_send is not None:
        found = _reconcile(
            attempt, attempt.delivery.uncertain_send, attempt.draft_state(ports).load(), mailbox, ports
        )
        if contains_sent_mail(found):
            return None
    check_expiry(attempt.request, ports)
    end = deadline(attempt.delivery.counted_since(ports.system.now()), attempt.request.expires_at)
    mailbox.wait_for_slot(attempt.delivery.slot, first=goes_first(attempt.delivery), deadline=end)
    prepared = prepare(attempt.request, sender, ports)
    if prepared.warnings or attempt.delivery.warnings:
        record_warnings(attempt, prepared.warnings, ports)
    if prepared.route is Route.DRAFT:
        ensure_claimed(attempt, ports)
        attempt.may_have_draft = attempt.sent_as_draft = True
        return send_as_draft(prepared, attempt, found, mailbox, ports)
    if attempt.was_tried_before:
        discard_draft(attempt.draft_state(ports), mailbox, ports)
    return _send_at_once(prepared, attempt, mailbox, ports)


def _before_hand_over(attempt: Attempt, mailbox: Mailbox, ports: SendingServices) -> None:
    """Record the hand-over, unless the consent was replaced since.

    This is checked for drafts, because an upload takes minutes, in which the consent can be reset or
    replaced.
    """
    if (
        attempt.sent_as_draft
        and resolve_sender(attempt.request, ports).consent.version != mailbox.sender.consent.version
    ):
        raise ConsentReplacedError
    record_hand_over(attempt, mailbox, ports)


def _reconcile(
    attempt: Attempt,
    uncertain_send: UncertainSend,
    draft: Draft | None,
    mailbox: Mailbox,
    ports: SendingServices,
) -> tuple[FoundMail, ...] | None:
    """Look up a mail that may have been sent; return what the search found.

    After that it is known whether the mail was sent. If not, and its deadline has passed, it is not sent
    again.
    """
    attempt.may_have_draft = True
    attempt.sent_as_draft = draft is not None and draft.submitted
    key = attempt.search_key(mailbox.sender)
    try:
        found = search_mailbox(key, uncertain_send, draft, mailbox, ports)
    except CopyWaitsError:
        attempt.delivery = replace(attempt.delivery, uncertain_send=replace(uncertain_send, copy_seen=True))
        raise
    except TransientError as error:
        if not may_skip_search(error, uncertain_send, ports.system.now()):
            raise
        # The search by key failed, but a draft can also be found by its id.
        found = search_mailbox(None, uncertain_send, draft, mailbox, ports)
    attempt.sent_as_draft = False
    if contains_sent_mail(found):
        return found
    row = attempt.delivery
    if uncertain_send.refused and found is None:
        attempt.delivery = without_look_up(row)
    else:
        attempt.delivery = replace(row, uncertain_send=None)
    now = ports.system.now()
    end = deadline(row.counted_since(now), attempt.request.expires_at)
    if now >= end:
        raise expired_error(end)
    return found


def _send_at_once(prepared: PreparedMail, attempt: Attempt, mailbox: Mailbox, ports: SendingServices) -> str:
    files = [build_attachment(file.attachment, file.content(ports.files)) for file in prepared.files]

    def send(key: str | None) -> str:
        save = prepared.request.save_to_sent_items
        body = build_send_mail(prepared.message_with(key), files, save_to_sent_items=save)
        return mailbox.submit(lambda token, sender: ports.transport.send_mail(token, sender, body))

    return attempt.with_or_without_key(send, ports)
