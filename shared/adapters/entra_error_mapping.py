"""Translate Entra's error responses into the app's errors.

The most specific number decides, by the table in `entra_error_codes`; the OAuth `error` decides only where no
number is known. Microsoft's text is never read. A refusal of a user's grant often contains numbers about the
app's credential too.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from shared.adapters.entra_connection import THROTTLED_WAIT, WAIT_SECONDS
from shared.adapters.entra_error_codes import ENTRA_CODES
from shared.consent.errors import EntraUnavailableError
from shared.errors import ConfigurationError, ConsentRequiredError, ProblemError
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODE_USED = 54005
#: Right after a registration or a consent these can be temporary (microsoft-graph-docs#4765, #10907).
_REPLICATING: dict[int, Literal["app", "consent"]] = {
    65001: "consent",
    500011: "consent",
    650052: "consent",
    650056: "consent",
    700016: "app",
    7000229: "app",
}
#: Too many requests: each further one prolongs the wait.
#: https://learn.microsoft.com/entra/msal/dotnet/advanced/client-and-server-throttling
_THROTTLED = frozenset({50196, 90055})
#: The OAuth error, or the suberror of `invalid_grant`, that 65001 comes with.
_NO_CONSENT = "consent_required"
_TRANSIENT_ERRORS = frozenset({"temporarily_unavailable", "server_error"})
_USER_ERRORS = frozenset({"invalid_grant", "interaction_required", "consent_required", "login_required"})
_LOST = "consent_lost"
_OF_USER = (
    "service_disabled",
    "admin_approval_needed",
    "account_unusable",
    "sign_in_blocked",
    "app_removed",
    _LOST,
)
#: A new secret, certificate or federated credential takes seconds to minutes to reach every server of Entra
#: (azure-workload-identity#273, microsoft-graph-docs#17966).
_CREDENTIAL = "client_credential_refused"
_OF_APP = (_CREDENTIAL, "app_registration_wrong")


def entra_error(response: Mapping[str, Any], account: str) -> ProblemError:
    """Return the error for a response of the token endpoint.

    An unknown one is for the operator.
    """
    return _error(response, _LOST, account=account)


def _error(response: Mapping[str, Any], lost: str, **lost_params: str) -> ProblemError:
    codes = {code for code in response.get("error_codes") or () if isinstance(code, int)}
    found = _classify(response, codes, lost, lost_params)
    if found.replicating:
        return found
    found.replicating = next(
        (_REPLICATING[code] for code in sorted(codes & _REPLICATING.keys(), reverse=True)), ""
    )
    if not codes and _NO_CONSENT in (response.get("error"), response.get("suberror")):
        found.replicating = "consent"
    return found


def _classify(
    response: Mapping[str, Any], codes: set[int], lost: str, lost_params: dict[str, Any]
) -> ProblemError:
    error = str(response.get("error", ""))
    trace = _trace(response)
    of_user = error in _USER_ERRORS
    if error in _TRANSIENT_ERRORS or _passes(codes, of_user=of_user):
        return EntraUnavailableError(request_id=trace, retry_after=_wait(response, codes))
    ours, deciding = _most_specific(codes, of_user=of_user)
    if not ours:
        ours = _by_word(error)
        if error not in _KNOWN_WORDS or codes - ENTRA_CODES.keys():
            _record_unknown(error, codes, ours)
    shown = f"AADSTS{min(deciding or codes)}" if codes else error or "no error code"
    if ours in _OF_APP:
        refused = ConfigurationError(ours, request_id=trace, error=shown)
        refused.replicating = "credential" if ours == _CREDENTIAL else ""
        return refused
    if ours == _LOST:
        return ConsentRequiredError(lost, request_id=trace, error=shown, **lost_params)
    return ConsentRequiredError(ours, request_id=trace, error=shown)


def redeem_error(response: Mapping[str, Any]) -> ProblemError:
    """Return the error for a refused code; no consent exists yet to lose."""
    if _CODE_USED in (response.get("error_codes") or ()):
        return ConsentRequiredError("consent_code_used", request_id=_trace(response))
    return _error(response, "consent_failed")


#: OAuth errors that are specific enough where no number comes with them.
_KNOWN_WORDS = _USER_ERRORS | {"invalid_client", "unauthorized_client"}


def _most_specific(codes: set[int], *, of_user: bool) -> tuple[str, set[int]]:
    """Return the app's code for the numbers, and those that decided.

    The code is empty where no number is known.

    What an organisation's admin must do comes before what the operator must: if a user's grant was refused,
    the app's credential had been accepted.
    """
    known = {code: ENTRA_CODES[code] for code in codes & ENTRA_CODES.keys()}
    specific = {code: found for code, found in known.items() if not found.general}
    if not specific and not of_user:
        specific = known
    order = (*_OF_USER, *_OF_APP) if of_user else (*_OF_USER[:-1], *_OF_APP, *_OF_USER[-1:])
    for ours in order:
        deciding = {code for code, found in specific.items() if found.ours == ours}
        if deciding:
            return ours, deciding
    return "", set()


def _by_word(error: str) -> str:
    if error in _USER_ERRORS:
        return _LOST
    return _CREDENTIAL if error == "invalid_client" else "app_registration_wrong"


def _record_unknown(error: str, codes: set[int], ours: str) -> None:
    """Log codes that are in no table, so that they can be added."""
    numbers = ", ".join(f"AADSTS{code}" for code in sorted(codes))
    log_event(
        Event.UNKNOWN_ERROR_CODE,
        level=logging.WARNING,
        service="entra",
        code=numbers or error or "none",
        problem=ours,
    )


def _passes(codes: set[int], *, of_user: bool) -> bool:
    """Return whether the refusal is temporary.

    For a user's grant, all numbers must be temporary.
    """
    transient = {code for code in codes & ENTRA_CODES.keys() if ENTRA_CODES[code].ours == "entra_unavailable"}
    return bool(transient) and (transient == codes or not of_user)


def _wait(response: Mapping[str, Any], codes: set[int]) -> timedelta | None:
    """Return for how long no token may be requested.

    Entra refuses a request loop without naming a time.
    """
    seconds = response.get(WAIT_SECONDS)
    if isinstance(seconds, int):
        return timedelta(seconds=seconds)
    return THROTTLED_WAIT if codes & _THROTTLED else None


def _trace(response: Mapping[str, Any]) -> str | None:
    found = response.get("correlation_id")
    return found if isinstance(found, str) else None
