"""Put a message back into the queue with what storage could not be told.

The message goes back with a growing delay and no expiry, so that an outage of any length loses nothing. An
older version of the app reads a mail, and a note to resume one; the two messages of this module it takes for
invalid ones, and sends nothing.
"""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, ConfigDict

from shared.contract import Contract, parse
from shared.deliveries.resume import MessageId, TenantId
from shared.errors import ConfigurationError, ProblemError
from shared.sending.persist import NotRecordedError, persist
from shared.telemetry import Event, log_event, log_failed_step
from shared.time_limit import recording

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.sending.dependencies import Sending

SHORTEST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(minutes=10)
_MAX_UNUSED = 300
_ACCEPTED_MARK = b'{"accepted":'
_REPEATED_MARK = b'{"repeated":'


class _Message(Contract):
    """What another version of the app adds to a message is ignored."""

    model_config = ConfigDict(extra="ignore")


class AcceptedMail(_Message):
    """A mail that Exchange has taken, and whose row does not say so."""

    tenant_id: TenantId
    message_id: MessageId
    accepted_at: AwareDatetime
    request_id: str | None
    from_address: str | None


class Accepted(_Message):
    """What travels through `mail-outbox`."""

    accepted: AcceptedMail


class RepeatedMail(_Message):
    """A mail under whose claims nothing was handed over.

    `mail` is None in messages of an earlier version, which stored the request of a long one.
    """

    tenant_id: TenantId
    message_id: MessageId
    unused_claims: tuple[str, ...]
    mail: dict[str, Any] | None = None


class Repeated(_Message):
    """What travels through `mail-outbox`."""

    repeated: RepeatedMail


def parse_unrecorded(text: bytes) -> AcceptedMail | RepeatedMail | None:
    """Read one of these messages; None where the message is something else.

    Raises:
        InvalidInputError: `invalid_message`.
    """
    if text.startswith(_ACCEPTED_MARK):
        return parse(Accepted, text, "invalid_message").accepted
    if text.startswith(_REPEATED_MARK):
        return parse(Repeated, text, "invalid_message").repeated
    return None


def accepted_message(row: Delivery) -> bytes:
    """Write that a mail was accepted."""
    mail = AcceptedMail(
        tenant_id=row.tenant_id,
        message_id=row.message_id,
        accepted_at=row.updated_at,
        request_id=row.history[-1].request_id,
        from_address=row.from_address,
    )
    return _write(Accepted(accepted=mail))


def repeated_message(row: Delivery, text: bytes, unused_claims: frozenset[str]) -> bytes:
    """Write that a mail is to be tried again, and which claims of it are known as unused.

    With the longest mail, as many fit as two days of an outage leave behind.
    """
    mail = RepeatedMail(
        tenant_id=row.tenant_id,
        message_id=row.message_id,
        unused_claims=tuple(sorted(unused_claims)[:_MAX_UNUSED]),
        mail=json.loads(text),
    )
    return write_repeated(mail)


def queue_again(
    text: bytes, key: str, waited: timedelta | None, problem: ProblemError, ports: Sending
) -> None:
    """Put a message back, twice as long as it waited the last time; `key` is that of the message taken.

    Raises:
        ProblemError: the queue cannot be reached either; the message comes again, and is taken for this text.
    """
    wait = min(max(2 * (waited or timedelta(0)), SHORTEST_WAIT), LONGEST_WAIT)
    delay = wait * (1 + ports.world.jitter() / 2)
    try:
        with recording():
            persist(lambda: ports.outbox.put(text, delay), ports.world)
    except NotRecordedError as error:
        ports.claims.keep(key, text)
        raise problem from error
    if isinstance(problem, ConfigurationError):
        log_event(Event.OPERATOR_ERROR, level=logging.ERROR, problem=problem.code)
    log_event(
        Event.MAIL_REQUEUED,
        level=logging.WARNING,
        problem=problem.code,
        who_acts=problem.problem.who_acts,
        delay_seconds=round(delay.total_seconds()),
        service=problem.facts.get("service"),
    )


def queue_kept(ports: Sending) -> None:
    """Queue what this process alone knows of mails, now that the queue can be reached.

    Their queue messages may come to another process, which corrects its conclusion by what is queued here.
    """
    for key, text in ports.claims.take_unqueued().items():
        if not text.startswith((_ACCEPTED_MARK, _REPEATED_MARK)):
            # The queue message says the same.
            continue
        try:
            ports.outbox.put(text, SHORTEST_WAIT)
        except ProblemError as error:
            ports.claims.leave_unqueued(key)
            log_failed_step("queue_kept", error.code)


def write_mail(note: RepeatedMail) -> bytes:
    """Return the mail in such a message as JSON."""
    return json.dumps(note.mail, ensure_ascii=False, separators=(",", ":")).encode()


def write_repeated(mail: RepeatedMail) -> bytes:
    """Write such a message again."""
    return _write(Repeated(repeated=mail))


def _write(message: Contract) -> bytes:
    return message.model_dump_json(by_alias=True).encode()
