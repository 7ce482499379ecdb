"""Put a message back into the queue with what storage could not record.

The message waits with a growing delay and without an expiry, so that nothing is lost in an outage of any
length. An older version of the app does not know the two messages of this module. It treats them as invalid,
and so sends nothing twice.
"""

from __future__ import annotations

import base64
import json
import logging
import zlib
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, ConfigDict

from shared.errors import ConfigurationError, ProblemError
from shared.mail.fields import MessageId, TenantId
from shared.mail.message import MAX_MESSAGE_BYTES
from shared.mail_queue import fits_queue
from shared.schema import Contract, parse
from shared.sending.storage_outage import NotRecordedError, persist
from shared.telemetry import Event, log_event, log_failed_step
from shared.time_limit import extend_for_recording

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.sending.ports import SendingServices

MIN_WAIT = timedelta(seconds=15)
MAX_WAIT = timedelta(minutes=10)
_MAX_UNUSED = 300
_ACCEPTED_MARK = b'{"accepted":'
_REPEATED_MARK = b'{"repeated":'
#: The first bytes of these messages.
UNRECORDED_MARKS = (_ACCEPTED_MARK, _REPEATED_MARK)


class _Message(Contract):
    """A shape that ignores members that another version of the app adds."""

    model_config = ConfigDict(extra="ignore")


class AcceptedMail(_Message):
    """A mail that Exchange accepted, although its row does not say so yet."""

    tenant_id: TenantId
    message_id: MessageId
    accepted_at: AwareDatetime
    request_id: str | None
    from_address: str | None


class Accepted(_Message):
    """The queue message that a mail was accepted."""

    accepted: AcceptedMail


class RepeatedMail(_Message):
    """A mail whose row may have claims with which nothing was sent.

    Attributes:
        unused_claims: the ids of these claims. Graph refused the mail, or was not called.
        mail: the mail; a text if it is compressed, because the message would not fit in the queue; None in
            messages of an earlier version, which stored a long mail separately.
        maybe_accepted: Graph may have sent the mail although it refused it, and the mail can't be looked up.
    """

    tenant_id: TenantId
    message_id: MessageId
    unused_claims: tuple[str, ...]
    mail: dict[str, Any] | str | None = None
    maybe_accepted: bool = False


class Repeated(_Message):
    """The queue message for another attempt of a mail with unused claims."""

    repeated: RepeatedMail


def parse_unrecorded(text: bytes) -> AcceptedMail | RepeatedMail:
    """Parse a message that begins with one of UNRECORDED_MARKS.

    Raises:
        InvalidInputError: `invalid_message`.
    """
    if text.startswith(_ACCEPTED_MARK):
        return parse(Accepted, text, "invalid_message").accepted
    return parse(Repeated, text, "invalid_message").repeated


def accepted_message(row: Delivery) -> bytes:
    """Write the message that a mail was accepted."""
    mail = AcceptedMail(
        tenant_id=row.tenant_id,
        message_id=row.message_id,
        accepted_at=row.updated_at,
        request_id=row.history[-1].request_id,
        from_address=row.from_address,
    )
    return _write(Accepted(accepted=mail))


def repeated_message(
    row: Delivery, text: bytes, unused_claims: frozenset[str], *, maybe_accepted: bool = False
) -> bytes:
    """Write the message for another attempt of a mail with unused claims.

    The message has room for the longest mail and as many claims as there are in an outage of two days.
    """
    mail = RepeatedMail(
        tenant_id=row.tenant_id,
        message_id=row.message_id,
        unused_claims=tuple(sorted(unused_claims)[:_MAX_UNUSED]),
        mail=json.loads(text),
        maybe_accepted=maybe_accepted,
    )
    return write_repeated(mail)


def queue_again(
    text: bytes, key: str, waited: timedelta | None, problem: ProblemError, ports: SendingServices
) -> None:
    """Put a message back into the queue, with twice its last delay.

    `key` identifies the received message.

    Raises:
        ProblemError: the queue is not available either. This process then uses `text` in place of the
            received message when that is redelivered.
    """
    wait = min(max(2 * (waited or timedelta(0)), MIN_WAIT), MAX_WAIT)
    delay = wait * (1 + ports.system.jitter() / 2)
    try:
        with extend_for_recording():
            persist(lambda: ports.outbox.put(text, delay), ports.system)
    except NotRecordedError as error:
        ports.claims.save(key, text)
        raise problem from error
    if isinstance(problem, ConfigurationError):
        log_event(Event.OPERATOR_ERROR, level=logging.ERROR, problem=problem.code)
    log_event(
        Event.MAIL_REQUEUED,
        level=logging.WARNING,
        problem=problem.code,
        who_acts=problem.problem.who_acts,
        delay_seconds=round(delay.total_seconds()),
        service=problem.params.get("service"),
    )


def queue_unqueued(ports: SendingServices) -> None:
    """Queue the texts in memory, because the queue is available again.

    The original messages may be redelivered to another process, which does not know these texts and may
    record a wrong outcome. The texts that are queued here correct it.
    """
    for key, text in ports.claims.take_unqueued().items():
        if not text.startswith(UNRECORDED_MARKS):
            # Such a text is the same as the original message, which is redelivered.
            continue
        try:
            ports.outbox.put(text, MIN_WAIT)
        except ProblemError as error:
            ports.claims.leave_unqueued(key)
            log_failed_step("queue_kept", error.code)


def write_mail(repeated: RepeatedMail) -> bytes:
    """Write the mail of a message for another attempt as JSON.

    The result is no JSON if the mail was compressed by another version in another way.
    """
    if isinstance(repeated.mail, str):
        with suppress(ValueError, zlib.error):
            return zlib.decompressobj().decompress(base64.b64decode(repeated.mail), MAX_MESSAGE_BYTES)
        return b""
    return json.dumps(repeated.mail, ensure_ascii=False, separators=(",", ":")).encode()


def write_repeated(mail: RepeatedMail) -> bytes:
    """Write a message for another attempt, compressed if it would not fit.

    An older version of the app treats a compressed message as invalid.
    """
    message = _write(Repeated(repeated=mail))
    if fits_queue(message):
        return message
    compressed = base64.b64encode(zlib.compress(write_mail(mail))).decode()
    return _write(Repeated(repeated=mail.model_copy(update={"mail": compressed})))


def _write(message: Contract) -> bytes:
    return message.model_dump_json(by_alias=True).encode()
