"""What the app says about itself: one line an event, a constant name first, then its fields as JSON.

The fields stand in the text because the host forwards a worker's text whatever exporter is set, and
drops everything else. Alerts and the workbook search for `name {`. No field holds an address, a
subject, a body or a token.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from enum import StrEnum

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
    REQUEST_FAILED = "request_failed"
    UNEXPECTED_ERROR = "unexpected_error"
    MAIL_ACCEPTED = "mail_accepted"
    MAIL_DEFERRED = "mail_deferred"
    MAIL_WAITING_FOR_CONSENT = "mail_waiting_for_consent"
    MAIL_WAITING_FOR_OPERATOR = "mail_waiting_for_operator"
    MAIL_VERIFYING = "mail_verifying"
    MAIL_REJECTED = "mail_rejected"
    MAIL_INVALID = "mail_invalid"
    MAIL_OUTCOME_UNKNOWN = "mail_outcome_unknown"
    MAIL_EXPIRED = "mail_expired"
    MAIL_DUPLICATE_IGNORED = "mail_duplicate_ignored"
    MAIL_CONFLICT = "mail_conflict"
    MAIL_POISONED = "mail_poisoned"
    MAIL_RETRIED = "mail_retried"
    WAITING_MAILS_RELEASED = "waiting_mails_released"
    FINISHED_MAILS_REMOVED = "finished_mails_removed"


_SECRETS = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JSON Web Token
    r"|(?i:bearer)\s+\S+"
    r"|(?i:\b(?:access_token|refresh_token|id_token|client_secret|client_assertion|code|code_verifier|state"
    r"|nonce|password|sig|authtoken)\b[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,}]+"
)
_ADDRESSES = re.compile(r"[^\s@<>\"'(),:;]+@([\w.-]+)")


def redact(text: str) -> str:
    """Take tokens, credentials and the local part of mail addresses out of a text.

    A last defence for texts that come from a library; our own texts hold none of these.
    """
    return _ADDRESSES.sub(r"…@\1", _SECRETS.sub("[redacted]", text))


def quieten_libraries() -> None:
    """Keep the SDKs from logging every request; an address can be a secret in itself."""
    for name in ("azure", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # MSAL logs whole answers of the token endpoint as errors; what they mean is raised and logged by us.
    logging.getLogger("msal").setLevel(logging.CRITICAL)


def log_event(event: Event, *, level: int = logging.INFO, **fields: object) -> None:
    """Write one event; fields that are None are left out."""
    known = {name: value for name, value in fields.items() if value is not None}
    text = json.dumps(known, default=str, ensure_ascii=False, sort_keys=True)
    _log.log(level, "%s %s", event, redact(text))


def log_failure(error: BaseException, **fields: object) -> None:
    """Write an error that nobody foresaw, with its trace, without what a trace could give away."""
    trace = "".join(traceback.format_exception(error))
    known = json.dumps(fields, default=str, ensure_ascii=False, sort_keys=True)
    _log.error("%s %s\n%s", Event.UNEXPECTED_ERROR, redact(known), redact(trace))
