"""From Entra's error answers to our errors, in one table.

The OAuth `error` decides; AADSTS numbers only choose the sentence, and Microsoft's text is never
read. A refusal of the user's grant often names numbers of the app's credential beside its own. https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.errors import ConfigurationError, ConsentRequiredError, ProblemError, TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: An admin of the tenant must change a rule; signing in again would fail the same way.
_BLOCKED = frozenset(
    {50034, 50057, 50105, 51004, 53000, 53001, 53003, 70001, 530003, 530032, 530035, 7000112}
)
_NEEDS_APPROVAL = frozenset({90094, 90095})
_CODE_USED = 54005
#: The app's own secret, certificate or assertion.
_CREDENTIAL = frozenset({50012, 70002, 700027, 700229, 7000215, 7000218, 7000222})
_TRANSIENT_CODES = frozenset({50033, 50196, 90006, 90012, 90024, 90033, 90055, 90090, 90091})
_TRANSIENT_ERRORS = frozenset({"temporarily_unavailable", "server_error"})
_USER_ERRORS = frozenset({"invalid_grant", "interaction_required", "consent_required", "login_required"})


def entra_error(answer: Mapping[str, Any], account: str) -> ProblemError:
    """Say what an error answer of the token endpoint means; an unknown one is the operator's."""
    error = str(answer.get("error", ""))
    codes = {code for code in answer.get("error_codes") or () if isinstance(code, int)}
    shown = f"AADSTS{min(codes)}" if codes else error or "no error code"
    trace = _trace(answer)
    of_user = error in _USER_ERRORS
    if error in _TRANSIENT_ERRORS or _passes(codes, of_user=of_user):
        return TransientError("entra_unavailable", request_id=trace)
    if error == "invalid_client" or (codes & _CREDENTIAL and not of_user):
        return ConfigurationError("client_credential_refused", request_id=trace, error=shown)
    if codes & _NEEDS_APPROVAL:
        return ConsentRequiredError("admin_approval_needed", request_id=trace, error=shown)
    if codes & _BLOCKED:
        return ConsentRequiredError("sign_in_blocked", request_id=trace, error=shown)
    if of_user:
        return ConsentRequiredError("consent_lost", request_id=trace, account=account, error=shown)
    return ConfigurationError("app_registration_wrong", request_id=trace, error=shown)


def redeem_error(answer: Mapping[str, Any]) -> ProblemError:
    """Say what an error answer to a code means, at a moment when there is no consent to lose yet."""
    error = entra_error(answer, "")
    if error.code != "consent_lost":
        return error
    if _CODE_USED in (answer.get("error_codes") or ()):
        return ConsentRequiredError("consent_code_used", request_id=error.request_id)
    return ConsentRequiredError("consent_failed", request_id=error.request_id, error=error.facts["error"])


def _passes(codes: set[int], *, of_user: bool) -> bool:
    """Say whether the numbers are of something that passes; for a user's grant, all of them must be."""
    transient = codes & _TRANSIENT_CODES
    return bool(transient) and (transient == codes or not of_user)


def _trace(answer: Mapping[str, Any]) -> str | None:
    found = answer.get("correlation_id")
    return found if isinstance(found, str) else None
