"""From Microsoft Graph's error answers to our errors, in one table.

Graph's `code` decides, never its message; a code that is in no table falls to the HTTP status. After
500, 502 and 504 only a code that surely refuses the mail counts: anything else may have been taken.
https://learn.microsoft.com/graph/errors
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from shared.errors import (
    ConsentRequiredError,
    MailerError,
    OutcomeUnknownError,
    RejectedError,
    TransientError,
)

if TYPE_CHECKING:
    from shared.adapters.https import Answer
    from shared.settings.sender import Sender


class _Kind(Enum):
    """What an answer means for the mail."""

    WAIT = auto()
    UNSURE = auto()
    TOKEN = auto()
    REFUSED = auto()
    #: A refusal that Graph is known to give now and then for a mail that is in order.
    REFUSED_AT_TIMES = auto()


_Meaning = tuple[_Kind, str]

_THROTTLED = (_Kind.WAIT, "mailbox_throttled")
_BUSY = (_Kind.WAIT, "graph_unavailable")
_LIMIT = (_Kind.WAIT, "sending_limit_reached")
_UNSURE = (_Kind.UNSURE, "outcome_unknown")
_GONE = (_Kind.WAIT, "draft_lost")
_TOKEN = (_Kind.TOKEN, "consent_lost")
_ACCESS = (_Kind.REFUSED, "access_denied")
_NO_MAILBOX = (_Kind.REFUSED, "mailbox_not_found")
_BLOCKED = (_Kind.REFUSED, "sender_blocked")
_TOO_LARGE = (_Kind.REFUSED, "message_too_large")
_REJECTED = (_Kind.REFUSED, "mail_rejected")

_CODES: dict[str, _Meaning] = {
    "ApplicationThrottled": _THROTTLED,
    "TooManyRequests": _THROTTLED,
    "activityLimitReached": _THROTTLED,
    "CommandConcurrencyLimitReached": _THROTTLED,
    "ErrorMessageThrottled": _THROTTLED,
    "serviceNotAvailable": _BUSY,
    "ErrorServerBusy": _BUSY,
    "ErrorIrresolvableConflict": _BUSY,
    "ErrorItemNotFound": _GONE,
    "ErrorExceededMessageLimit": _LIMIT,
    "ErrorExceededHourlyMessageLimit": _LIMIT,
    "ErrorSubmissionQuotaExceeded": _LIMIT,
    "ErrorInternalServerError": _UNSURE,
    "ErrorInternalServerTransientError": _UNSURE,
    "ErrorMailboxStoreUnavailable": _UNSURE,
    "ErrorMessageTimeout": _UNSURE,
    "ErrorMessageTransientError": _UNSURE,
    "ErrorTimeoutExpired": _UNSURE,
    "InvalidAuthenticationToken": _TOKEN,
    "NoPermissionsInAccessToken": _TOKEN,
    "insufficient_claims": _TOKEN,
    "Authorization_RequestDenied": _ACCESS,
    "ErrorAccessDenied": _ACCESS,
    "ErrorSendAsDenied": (_Kind.REFUSED, "send_as_denied"),
    "ErrorInvalidUser": _NO_MAILBOX,
    "ErrorNonExistentMailbox": (_Kind.REFUSED_AT_TIMES, "mailbox_not_found"),
    "MailboxNotEnabledForRESTAPI": _NO_MAILBOX,
    "Request_ResourceNotFound": _NO_MAILBOX,
    "ResourceNotFound": _NO_MAILBOX,
    "extensionError": _NO_MAILBOX,
    "ErrorAccountSuspend": _BLOCKED,
    "ErrorAccountSuspendShowTierUpgrade": _BLOCKED,
    "ErrorMessageBlocked": _BLOCKED,
    "ErrorMessageSubmissionBlocked": _BLOCKED,
    "ErrorQuotaExceeded": (_Kind.REFUSED, "mailbox_full"),
    "ErrorAttachmentSizeLimitExceeded": _TOO_LARGE,
    "ErrorMessageSizeExceeded": _TOO_LARGE,
    "ErrorExceededMaxRecipientLimit": (_Kind.REFUSED, "recipients_refused"),
    "ErrorInvalidRecipients": (_Kind.REFUSED_AT_TIMES, "recipients_refused"),
}
_STATUSES: dict[int, _Meaning] = {
    401: _TOKEN,
    408: _BUSY,
    412: _BUSY,
    413: _TOO_LARGE,
    429: _THROTTLED,
    503: _BUSY,
    507: (_Kind.REFUSED, "mailbox_full"),
    509: _BUSY,
}
#: Nobody can tell whether Exchange took the mail.
_UNSURE_STATUSES = frozenset({500, 502, 504})
_ANSWERS_OF_THE_CALLERS_MAKING = range(400, 500)
#: A refusal that comes at times, or of a token that Entra has just issued, is believed when it comes
#: this often.
_BELIEVED_AFTER = 3
#: Exchange counts a mailbox's messages over an hour and over a day.
_LIMIT_PAUSE = timedelta(hours=1)
_LONGEST_WAIT = timedelta(hours=6)
_SAFE_CODE = re.compile(r"[A-Za-z_]{1,80}")


def graph_error(answer: Answer, sender: Sender, *, submits: bool = True) -> MailerError:
    """Say what an answer other than success means.

    A call that does not submit the mail can be repeated whatever became of it.
    """
    codes = graph_codes(answer)
    kind, code, shown = _meaning(answer.status, codes)
    request_id = answer.headers.get("request-id")
    if kind is _Kind.WAIT:
        asked = retry_after(answer.headers.get("Retry-After"), datetime.now(UTC))
        wait = max(asked or _LIMIT_PAUSE, _LIMIT_PAUSE) if code == _LIMIT[1] else asked
        return TransientError(code, retry_after=wait, request_id=request_id, address=sender.address)
    if kind is _Kind.UNSURE and not submits:
        return TransientError("graph_unavailable", request_id=request_id)
    if kind is _Kind.UNSURE:
        return OutcomeUnknownError(code, request_id=request_id)
    if kind is _Kind.TOKEN:
        return ConsentRequiredError(
            code, believed_after=_BELIEVED_AFTER, request_id=request_id, account=sender.account, error=shown
        )
    return RejectedError(
        code,
        graph_code=shown,
        believed_after=_BELIEVED_AFTER if kind is _Kind.REFUSED_AT_TIMES else 1,
        request_id=request_id,
        account=sender.account,
        address=sender.address,
        what="The mail",
    )


def _meaning(status: int, codes: list[str]) -> tuple[_Kind, str, str]:
    """Return the kind, our code, and Graph's code or status for people."""
    shown = codes[0] if codes else f"HTTP {status}"
    for code in codes:
        if code in _CODES:
            kind, ours = _CODES[code]
            if status in _UNSURE_STATUSES and kind is _Kind.WAIT:
                return *_UNSURE, code
            return kind, ours, code
    if status in _STATUSES:
        return *_STATUSES[status], shown
    return *(_REJECTED if status in _ANSWERS_OF_THE_CALLERS_MAKING else _UNSURE), shown


def graph_codes(answer: Answer) -> list[str]:
    """Return the codes of an error answer, the most specific first; none of a body that is no JSON."""
    try:
        inner: Any = json.loads(answer.body)
    except (ValueError, RecursionError):
        return []
    found: list[str] = []
    inner = inner.get("error") if isinstance(inner, dict) else None
    while isinstance(inner, dict):
        code = inner.get("code")
        if isinstance(code, str) and _SAFE_CODE.fullmatch(code):
            found.insert(0, code)
        inner = inner.get("innerError", inner.get("innererror"))
    return found


def retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Read a `Retry-After`: seconds, which Graph writes as `2.128` too, or a date (RFC 9110 10.2.3)."""
    if text is None:
        return None
    for read in (_seconds, _until):
        try:
            return min(max(read(text, now), timedelta(0)), _LONGEST_WAIT)
        except (ValueError, OverflowError):
            continue
    return None


def _seconds(text: str, _now: datetime) -> timedelta:
    return timedelta(seconds=min(float(text), _LONGEST_WAIT.total_seconds()))


def _until(text: str, now: datetime) -> timedelta:
    moment = parsedate_to_datetime(text)
    return moment.replace(tzinfo=moment.tzinfo or UTC) - now
