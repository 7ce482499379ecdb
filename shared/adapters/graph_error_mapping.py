"""Translate Microsoft Graph's error responses into the app's errors.

Graph's `code` decides, by the table in `graph_error_codes`; its message is never read. If the code is not in
the table, the HTTP status decides, and the code is logged. A mail is rejected only by a response that is
known to concern this message. After any other response it is tried again until it expires. After 500, 502 and
504 Exchange may have accepted the mail, unless the code says for certain that it did not.
https://learn.microsoft.com/graph/errors
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.adapters.graph_error_codes import GENERAL_CODES, GRAPH_CODES, Kind
from shared.adapters.graph_responses import claims_challenge, error_codes
from shared.adapters.retry_after import requested_wait
from shared.errors import (
    ConfigurationError,
    OutcomeUnknownError,
    ProblemError,
    RefusedRecipientError,
    RejectedError,
    SenderRefusedError,
    TokenRefusedError,
    TransientError,
)
from shared.sending.errors import ERROR_BY_CODE, DraftLostError, SendingLimitError
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.adapters.http import HttpResponse
    from shared.settings.sender import Sender


_Meaning = tuple[Kind, str]

_BUSY = (Kind.WAIT, "graph_unavailable")
_THROTTLED = (Kind.WAIT, "mailbox_throttled")
_UNSURE = (Kind.UNSURE, "outcome_unknown")
_TOKEN = (Kind.TOKEN, "token_refused")
#: The response is not known to concern this message, so the mail is tried again, and the problem names the
#: person who can probably act.
_UNEXPECTED = (Kind.WAIT, "unexpected_answer")
_ACCESS = (Kind.WAIT, "access_denied")
_NO_MAILBOX = (Kind.WAIT, "mailbox_not_found")
_DRAFT_LOST = (Kind.WAIT, "draft_lost")

_OF_THE_MAIL = frozenset({Kind.REFUSED, Kind.REFUSED_AT_TIMES})
#: Problem codes of a refused mail that have an error class of their own.
_REFUSALS: dict[str, type[RejectedError]] = {"recipients_refused": RefusedRecipientError}
_STATUSES: dict[int, _Meaning] = {
    401: _TOKEN,
    403: _ACCESS,
    404: _NO_MAILBOX,
    408: _BUSY,
    409: _BUSY,
    410: _NO_MAILBOX,
    412: _BUSY,
    413: (Kind.REFUSED, "message_too_large"),
    423: _BUSY,
    425: _BUSY,
    429: _THROTTLED,
    503: _BUSY,
    507: (Kind.NO_RIGHT, "mailbox_full"),
    509: _BUSY,
}
#: Statuses that mean a missing permission or mailbox only with a code of Graph. Without one, they may be a
#: proxy's.
_NEEDS_A_CODE = frozenset({403, 404, 410})
#: Statuses after which it is not known whether Exchange accepted the mail.
_UNSURE_STATUSES = frozenset({500, 502, 504})
#: Statuses that are a refusal with any code. Users report mails that were sent in spite of them:
#: https://learn.microsoft.com/answers/questions/5629476
_REFUSED_STATUSES = frozenset({429, 503})
#: The request was not carried out: a redirect names another address, 501 and 505 cannot do it, 511 is from a
#: network, and with 521, 523, 525 and 526 Cloudflare's gateways say that they reached no server.
#: https://www.rfc-editor.org/rfc/rfc9110#section-15.4, https://www.rfc-editor.org/rfc/rfc6585#section-6 and
#: https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/
_NOT_CARRIED_OUT = frozenset({301, 302, 307, 308, 501, 505, 511, 521, 523, 525, 526})
#: Statuses after which the mail was certainly not sent. Exchange first reads the request head and the token,
#: then finds the mailbox and checks the permission, then reads the message, and only then saves and submits
#: it. These statuses belong to the steps before the last one. With any other status, Exchange may have
#: submitted the mail.
_NOTHING_SENT = _NOT_CARRIED_OUT | {401, 403, 404, 405, 407, 410, 411, 413, 414, 415, 421, 426, 431}
_CLIENT_ERRORS = range(400, 500)
#: A refusal that Graph is known to return occasionally counts once it was returned this often.
_CONFIRM_AFTER = 3
#: Exchange counts a mailbox's messages per hour and per day.
_LIMIT_PAUSE = timedelta(hours=1)
#: If Graph refuses a mail this soon after the consent, the problem text says that the reason may be a delay:
#: a Send As right, a role or a consent may take that long to reach every server.
_RECENT_CONSENT = timedelta(hours=24)
_INSUFFICIENT_CLAIMS = re.compile(r'\berror\s*=\s*"?insufficient_claims\b', re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>\"',;:()\[\]]{1,64}@[A-Za-z0-9.-]{1,253}[A-Za-z0-9]")
_MAX_TEXT = 8000
_NO_SUCH_ADDRESS = frozenset({404, 405})


def graph_error(
    response: HttpResponse,
    sender: Sender,
    *,
    is_send: bool = True,
    names_draft: bool = False,
    carries_mail: bool = True,
) -> ProblemError:
    """Return the error for an unsuccessful response.

    `is_send`: the call sends the mail; every other call can be repeated safely. `names_draft`: the path of
    the call has the id of a draft, so a 404 means that draft. `carries_mail`: the call contains part of the
    mail, which can be refused.
    """
    codes = error_codes(response)
    kind, code, shown = _meaning(response.status, codes)
    request_id = response.headers.get("request-id")
    # A response of Graph has an error code or a request id.
    from_another_server = not codes and request_id is None
    if kind in _OF_THE_MAIL and (from_another_server or not carries_mail):
        kind, code = _UNEXPECTED
    sends_draft = is_send and names_draft
    kind, code = _what_is_missing(
        response, codes, (kind, code), names_draft=names_draft, sends_draft=sends_draft
    )
    challenge = response.headers.get("WWW-Authenticate")
    claims = claims_challenge(challenge)
    conditional_access = "insufficient_claims" in codes or bool(_INSUFFICIENT_CLAIMS.search(challenge or ""))
    if kind is Kind.TOKEN or claims or conditional_access:
        return TokenRefusedError(
            "token_refused",
            claims=claims,
            conditional_access=conditional_access,
            request_id=request_id,
            error="insufficient_claims" if conditional_access else shown,
        )
    if response.status in _NO_SUCH_ADDRESS and from_another_server:
        reason = f"the server there answers HTTP {response.status}, and not as Microsoft Graph does"
        other = ConfigurationError("setting_invalid", setting="GRAPH_ENDPOINT", reason=reason)
        other.confirm_after = _CONFIRM_AFTER
        return other
    if kind is Kind.WAIT:
        return _transient(code, shown, response, sender)
    if kind is Kind.UNSURE and not is_send:
        timed_out = response.status == HTTPStatus.GATEWAY_TIMEOUT
        return _transient("graph_timeout" if timed_out else "graph_unavailable", shown, response, sender)
    if kind is Kind.UNSURE:
        return OutcomeUnknownError(code, request_id=request_id)
    refusal = SenderRefusedError if kind is Kind.NO_RIGHT else _REFUSALS.get(code, RejectedError)
    refused = refusal(
        code,
        graph_code=shown,
        confirm_after=_CONFIRM_AFTER if kind is Kind.REFUSED_AT_TIMES else 1,
        request_id=request_id,
        account=sender.account_name,
        address=sender.address if code == "send_as_denied" else sender.mailbox_address,
        what="The mail",
        **_circumstances(sender),
    )
    if isinstance(refused, RefusedRecipientError):
        refused.mentioned = _addresses_in(response)
    return refused


def _what_is_missing(
    response: HttpResponse, codes: list[str], meaning: _Meaning, *, names_draft: bool, sends_draft: bool
) -> _Meaning:
    """Distinguish a missing draft from a missing mailbox.

    Only a call that names a draft can miss one. If a draft was to be sent, any 404 of Graph may mean that it
    is being sent. For other calls the code must say that the message is missing, because a draft that counts
    as lost is created again.
    """
    listed = codes and any(code in GRAPH_CODES for code in codes)
    from_graph = codes or response.headers.get("request-id")
    if sends_draft and response.status == HTTPStatus.NOT_FOUND and from_graph and not listed:
        return _DRAFT_LOST
    return _NO_MAILBOX if meaning == _DRAFT_LOST and not names_draft else meaning


def _transient(code: str, shown: str, response: HttpResponse, sender: Sender) -> TransientError:
    requested = requested_wait(response.headers)
    create = ERROR_BY_CODE.get(code) or partial(TransientError, code)
    error = create(
        retry_after=requested,
        request_id=response.headers.get("request-id"),
        address=sender.mailbox_address,
        graph_code=shown,
        **_circumstances(sender),
    )
    if isinstance(error, SendingLimitError):
        error.retry_after = max(requested or _LIMIT_PAUSE, _LIMIT_PAUSE)
    # If a draft is not found, Exchange may be sending it.
    error.maybe_sent_anyway = response.status not in _NOTHING_SENT or isinstance(error, DraftLostError)
    return error


def _addresses_in(response: HttpResponse) -> tuple[str, ...]:
    """Return the mail addresses in the start of a response, in lower case."""
    text = response.body[:_MAX_TEXT].decode("utf-8", "replace")
    return tuple(dict.fromkeys(found.lower() for found in _ADDRESS.findall(text)))


def _circumstances(sender: Sender) -> dict[str, Any]:
    """Return the parameters that make some problem texts more specific."""
    params = {
        "recent": datetime.now(UTC) - sender.consent.consented_at < _RECENT_CONSENT,
        "by_the_app": sender.is_found_by_address,
        "by_object_id": sender.is_found_by_id,
    }
    return {name: "yes" for name, holds in params.items() if holds}


def _meaning(status: int, codes: list[str]) -> tuple[Kind, str, str]:
    """Return the kind, the problem code, and Graph's code or the status."""
    shown = codes[0] if codes else f"HTTP {status}"
    for code in codes:
        if code in GRAPH_CODES:
            found = GRAPH_CODES[code]
            if status in _UNSURE_STATUSES and found.kind is Kind.WAIT:
                return *_UNSURE, code
            if status in _REFUSED_STATUSES and found.kind is Kind.UNSURE:
                return *_STATUSES[status], code
            return found.kind, found.problem_code, code
    refused = status in _CLIENT_ERRORS or status in _NOT_CARRIED_OUT
    by_status = _STATUSES.get(status, _UNEXPECTED if refused else _UNSURE)
    if not codes and status in _NEEDS_A_CODE:
        by_status = _UNEXPECTED
    if codes and codes[0] not in GENERAL_CODES:
        log_event(
            Event.UNKNOWN_ERROR_CODE,
            level=logging.WARNING,
            service="graph",
            code=codes[0],
            status=status,
            problem=by_status[1],
        )
    return *by_status, shown
