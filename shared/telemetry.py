"""Log the app's events: one line each, a constant name, then JSON.

The fields are in the text of the line, because the host forwards the text of a worker to every exporter, and
drops everything else. Alerts and the workbook search for lines that start with `name {`, so no value may look
like such a line. Values are redacted and shortened before they are serialised, braces in them are escaped,
and each line is ASCII without line breaks. No field contains an address, a subject, a body or a token.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from enum import StrEnum
from typing import Protocol

from shared.redaction import redact

_log = logging.getLogger("mailer")


class Event(StrEnum):
    """Every event, by the name that alerts search for."""

    CONSENT_STARTED = "consent_started"
    CONSENT_COMPLETED = "consent_completed"
    CONSENT_NOT_COMPLETED = "consent_not_completed"
    CONSENT_LOST = "consent_lost"
    OPERATOR_ERROR = "operator_error"
    TOKENS_LEFT_BEHIND = "tokens_left_behind"
    SETTINGS_RESET = "settings_reset"
    TOKEN_REFRESHED = "token_refreshed"  # noqa: S105 - the name of an event
    TOKEN_NOT_REFRESHED = "token_not_refreshed"  # noqa: S105 - as above
    ADMIN_OPERATION = "admin_operation"
    OPERATOR_ACTION = "operator_action"
    REQUEST_FAILED = "request_failed"
    REQUESTS_REFUSED = "requests_refused"
    UNEXPECTED_ERROR = "unexpected_error"
    TENANT_NOT_SERVED = "tenant_not_served"
    UNKNOWN_ERROR_CODE = "unknown_error_code"
    SENDER_REFUSED = "sender_refused"
    SENDING_PAUSED = "sending_paused"
    MAIL_WARNING = "mail_warning"
    MAIL_WITHOUT_KEY = "mail_without_key"
    MAIL_ACCEPTED = "mail_accepted"
    MAIL_DEFERRED = "mail_deferred"
    MAIL_PAUSED = "mail_paused"
    MAIL_WAITING_FOR_CONSENT = "mail_waiting_for_consent"
    MAIL_WAITING_FOR_OPERATOR = "mail_waiting_for_operator"
    MAIL_WAITING_FOR_MICROSOFT365 = "mail_waiting_for_microsoft365"
    MAIL_VERIFYING = "mail_verifying"
    MAIL_REJECTED = "mail_rejected"
    MAIL_INVALID = "mail_invalid"
    MAIL_OUTCOME_UNKNOWN = "mail_outcome_unknown"
    MAIL_EXPIRED = "mail_expired"
    MAIL_DUPLICATE_IGNORED = "mail_duplicate_ignored"
    MAIL_CONFLICT = "mail_conflict"
    MAIL_POISONED = "mail_poisoned"
    MAIL_REQUEUED = "mail_requeued"
    POISON_QUEUE_NOT_EMPTY = "poison_queue_not_empty"
    OUTBOX_BACKLOG = "outbox_backlog"
    MAIL_RETRIED = "mail_retried"
    WAITING_MAILS_RELEASED = "waiting_mails_released"
    FINISHED_MAILS_REMOVED = "finished_mails_removed"


#: Fields that are identifiers. They are logged unchanged if they have no other characters than `_ID`, because
#: redaction could remove a part of them.
_IDS = frozenset(
    {
        "action",
        "azp",
        "caller_trace_id",
        "consented_by",
        "flow_id",
        "kept_as",
        "message_id",
        "oid",
        "operation",
        "problem",
        "request_id",
        "started_by",
        "tenant_id",
        "tid",
        "trace_id",
    }
)
_ID = re.compile(r"[A-Za-z0-9._:/-]{1,200}")
_MAX_VALUE_CHARS = 300
_MAX_TRACE_CHARS = 8000


def quieten_libraries() -> None:
    """Keep the SDKs from logging every request: a URL can be a secret."""
    for name in ("azure", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # MSAL logs whole responses of the token endpoint as errors, which the app raises and logs itself.
    logging.getLogger("msal").setLevel(logging.CRITICAL)


def log_event(event: Event, *, level: int = logging.INFO, **fields: object) -> None:
    """Write one event; fields that are None are left out."""
    _log.log(level, "%s %s", event, _serialize({name: _value(name, each) for name, each in fields.items()}))


class MailIds(Protocol):
    """The ids of a mail, as its request and its row have them."""

    @property
    def tenant_id(self) -> str:
        """The tenant."""

    @property
    def message_id(self) -> str:
        """The scheduler's own id."""


def log_mail_event(event: Event, mail: MailIds, *, level: int = logging.INFO, **fields: object) -> None:
    """Write one event of a mail, with its ids."""
    log_event(event, level=level, tenant_id=mail.tenant_id, message_id=mail.message_id, **fields)


def log_failed_step(operation: str, problem: str, **ids: object) -> None:
    """Log that a background step failed; it is tried again later."""
    log_event(Event.REQUEST_FAILED, level=logging.WARNING, operation=operation, problem=problem, **ids)


def log_failure(error: BaseException, **fields: object) -> None:
    """Log an unexpected error with its traceback, redacted."""
    trace = redact("".join(traceback.format_exception(error)))
    known = {name: _value(name, each) for name, each in fields.items()}
    _log.error("%s %s", Event.UNEXPECTED_ERROR, _serialize(known | {"trace": _middle_cut(trace)}))


def _value(name: str, value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    text = str(value)
    if name in _IDS and _ID.fullmatch(text):
        return text
    return _cut(redact(text), _MAX_VALUE_CHARS)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"


def _middle_cut(trace: str) -> str:
    """Keep the start, which has the first cause, and the end, with the error."""
    half = _MAX_TRACE_CHARS // 2
    return trace if len(trace) <= _MAX_TRACE_CHARS else f"{trace[:half]}…{trace[-half:]}"


def _serialize(fields: dict[str, object]) -> str:
    """Write fields as one JSON object without other braces."""
    known = {name: value for name, value in fields.items() if value is not None}
    text = json.dumps(known, sort_keys=True)[1:-1]
    escaped = text.replace("{", "\\u007b").replace("}", "\\u007d")
    return f"{{{escaped}}}"
