"""From Microsoft Graph's error answers to our errors, in one table.

Graph's `code` decides, never its message; a code that is in no table falls to the HTTP status.
https://learn.microsoft.com/graph/errors
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from shared.errors import (
    ConsentRequiredError,
    MailerError,
    OutcomeUnknownError,
    RejectedError,
    TransientError,
)

if TYPE_CHECKING:
    from requests import Response

    from shared.settings.sender import Sender

_REJECTED = {
    "ErrorSendAsDenied": "send_as_denied",
    "ErrorAccessDenied": "access_denied",
    "Authorization_RequestDenied": "access_denied",
    "MailboxNotEnabledForRESTAPI": "mailbox_not_found",
    "ErrorInvalidUser": "mailbox_not_found",
    "ErrorNonExistentMailbox": "mailbox_not_found",
    "ResourceNotFound": "mailbox_not_found",
    "Request_ResourceNotFound": "mailbox_not_found",
}
#: Nobody can tell whether Exchange took the mail.
_UNKNOWN_STATUSES = frozenset({500, 502, 504})
_TRANSIENT_STATUSES = frozenset({429, 503})
_LONGEST_WAIT = timedelta(hours=6)
_SAFE_CODE = re.compile(r"[A-Za-z_]{1,80}")


def graph_error(response: Response, sender: Sender) -> MailerError:
    """Say what an answer other than success means."""
    request_id = response.headers.get("request-id")
    status = response.status_code
    if status in _TRANSIENT_STATUSES:
        wait = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
        return TransientError("graph_unavailable", retry_after=wait, request_id=request_id)
    if status in _UNKNOWN_STATUSES:
        return OutcomeUnknownError("outcome_unknown", request_id=request_id)
    codes = graph_codes(response)
    shown = codes[0] if codes else f"HTTP {status}"
    if status == 401:  # noqa: PLR2004 - the token was refused, whatever the code
        return ConsentRequiredError(
            "consent_lost", request_id=request_id, account=sender.account, error=shown
        )
    ours, graph_code = next(
        ((_REJECTED[code], code) for code in codes if code in _REJECTED), ("mail_rejected", shown)
    )
    return RejectedError(
        ours, graph_code=graph_code, request_id=request_id, account=sender.account, address=sender.address
    )


def graph_codes(response: Response) -> list[str]:
    """Return the codes of an error answer, the most specific first; none of a body that is no JSON."""
    try:
        inner: Any = json.loads(response.content)
    except ValueError:
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
    return timedelta(seconds=float(text))


def _until(text: str, now: datetime) -> timedelta:
    moment = parsedate_to_datetime(text)
    return moment.replace(tzinfo=moment.tzinfo or UTC) - now
