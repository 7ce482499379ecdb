"""Translate Entra's error responses into the app's errors.

The most specific AADSTS number in the response decides, by the table in `entra_error_codes`. If no number is
known, the OAuth `error` decides. Microsoft's text is never read. The refusal of a user's grant often has
numbers about the app's credential too.
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
#: Numbers that may be temporary after a registration or a consent (microsoft-graph-docs#4765, #10907).
_REPLICATING: dict[int, Literal["app", "consent"]] = {
    65001: "consent",
    500011: "consent",
    650052: "consent",
    650056: "consent",
    700016: "app",
    7000229: "app",
}
#: Numbers for too many requests. Each further request prolongs the wait.
#: https://learn.microsoft.com/entra/msal/dotnet/advanced/client-and-server-throttling
_THROTTLED = frozenset({50196, 90055})
#: The OAuth error, or the suberror of `invalid_grant`, with which Entra returns 65001.
_NO_CONSENT = "consent_required"
_TRANSIENT_ERRORS = frozenset({"temporarily_unavailable", "server_error"})
_USER_ERRORS = frozenset({"invalid_grant", "interaction_required", "consent_required", "login_required"})
_LOST = "consent_lost"
_CODES_OF_USER = (
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
_CODES_OF_APP = (_CREDENTIAL, "app_registration_wrong")


def entra_error(response: Mapping[str, Any], account: str) -> ProblemError:
    """Return the error for a refusal by the token endpoint.

    If the refusal is not known, the operator must act.
    """
    return _error(response, _LOST, account=account)


def _error(response: Mapping[str, Any], lost: str, **lost_params: str) -> ProblemError:
    codes = {code for code in response.get("error_codes") or () if isinstance(code, int)}
    found = _classify(response, codes, lost, lost_params)
    if found.replicating:
        return found
    replicating = codes & _REPLICATING.keys()
    if replicating:
        found.replicating = _REPLICATING[max(replicating)]
    if not codes and _NO_CONSENT in (response.get("error"), response.get("suberror")):
        found.replicating = "consent"
    return found


def _classify(
    response: Mapping[str, Any], codes: set[int], lost: str, lost_params: dict[str, Any]
) -> ProblemError:
    error = str(response.get("error", ""))
    trace = _trace(response)
    is_user_grant = error in _USER_ERRORS
    if error in _TRANSIENT_ERRORS or _is_temporary(codes, is_user_grant=is_user_grant):
        return EntraUnavailableError(request_id=trace, retry_after=_wait(response, codes))
    problem_code, deciding = _most_specific(codes, is_user_grant=is_user_grant)
    if not problem_code:
        problem_code = _by_oauth_error(error)
        if error not in _SPECIFIC_OAUTH_ERRORS or codes - ENTRA_CODES.keys():
            _record_unknown(error, codes, problem_code)
    shown = f"AADSTS{min(deciding or codes)}" if codes else error or "no error code"
    if problem_code in _CODES_OF_APP:
        refused = ConfigurationError(problem_code, request_id=trace, error=shown)
        refused.replicating = "credential" if problem_code == _CREDENTIAL else ""
        return refused
    if problem_code == _LOST:
        return ConsentRequiredError(lost, request_id=trace, error=shown, **lost_params)
    return ConsentRequiredError(problem_code, request_id=trace, error=shown)


def redeem_error(response: Mapping[str, Any]) -> ProblemError:
    """Return the error for a refusal of an authorization code."""
    if _CODE_USED in (response.get("error_codes") or ()):
        return ConsentRequiredError("consent_code_used", request_id=_trace(response))
    return _error(response, "consent_failed")


#: OAuth errors that are specific enough without a number.
_SPECIFIC_OAUTH_ERRORS = _USER_ERRORS | {"invalid_client", "unauthorized_client"}


def _most_specific(codes: set[int], *, is_user_grant: bool) -> tuple[str, set[int]]:
    """Return the problem code for the numbers, and the numbers that decided.

    The code is empty if no number is known. If a user's grant was refused, problems that an admin of the
    organisation must solve come before problems that the operator must solve, because Entra had accepted the
    app's credential.
    """
    known = {code: ENTRA_CODES[code] for code in codes & ENTRA_CODES.keys()}
    specific = {code: found for code, found in known.items() if not found.general}
    if not specific and not is_user_grant:
        specific = known
    order = (
        (*_CODES_OF_USER, *_CODES_OF_APP)
        if is_user_grant
        else (*_CODES_OF_USER[:-1], *_CODES_OF_APP, *_CODES_OF_USER[-1:])
    )
    for problem_code in order:
        deciding = {code for code, found in specific.items() if found.problem_code == problem_code}
        if deciding:
            return problem_code, deciding
    return "", set()


def _by_oauth_error(error: str) -> str:
    if error in _USER_ERRORS:
        return _LOST
    return _CREDENTIAL if error == "invalid_client" else "app_registration_wrong"


def _record_unknown(error: str, codes: set[int], problem_code: str) -> None:
    """Log codes that the app does not know, so that they can be added."""
    numbers = ", ".join(f"AADSTS{code}" for code in sorted(codes))
    log_event(
        Event.UNKNOWN_ERROR_CODE,
        level=logging.WARNING,
        service="entra",
        code=numbers or error or "none",
        problem=problem_code,
    )


def _is_temporary(codes: set[int], *, is_user_grant: bool) -> bool:
    """Return whether the numbers say that the refusal is temporary.

    For the refusal of a user's grant, all numbers must say so.
    """
    transient = {
        code for code in codes & ENTRA_CODES.keys() if ENTRA_CODES[code].problem_code == "entra_unavailable"
    }
    return bool(transient) and (transient == codes or not is_user_grant)


def _wait(response: Mapping[str, Any], codes: set[int]) -> timedelta | None:
    """Return for how long no token may be requested; None if unlimited.

    If there were too many requests, Entra names no time.
    """
    seconds = response.get(WAIT_SECONDS)
    if isinstance(seconds, int):
        return timedelta(seconds=seconds)
    return THROTTLED_WAIT if codes & _THROTTLED else None


def _trace(response: Mapping[str, Any]) -> str | None:
    found = response.get("correlation_id")
    return found if isinstance(found, str) else None
