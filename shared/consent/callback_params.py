"""Microsoft's callback parameters of a sign-in or admin consent. Pure.

They came through the browser, so they can be forged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.consent.errors import ConsentDeclinedError
from shared.errors import ConsentRequiredError
from shared.settings.tenant import Authorization

_DECLINED = {
    Authorization.DELEGATED: frozenset({"access_denied"}),
    Authorization.APPLICATION: frozenset({"access_denied", "consent_required", "permission_denied"}),
}
#: https://learn.microsoft.com/entra/identity-platform/reference-error-codes and RFC 6749 section 4.1.2.1.
_ERRORS = frozenset(
    {
        "consent_required",
        "interaction_required",
        "invalid_client",
        "invalid_request",
        "invalid_resource",
        "invalid_scope",
        "login_required",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_response_type",
    }
)


@dataclass(frozen=True, slots=True)
class CallbackParams:
    """The parameters, and the kind of authorization that the URL is for."""

    authorization: Authorization
    reply: Mapping[str, str] = field(repr=False)


def check_error(answer: CallbackParams) -> None:
    """Check `error` first: a decline can come with success parameters.

    Raises:
        ConsentRequiredError: `consent_declined`, `consent_failed`.
    """
    error = answer.reply.get("error")
    if error in _DECLINED[answer.authorization]:
        raise ConsentDeclinedError("consent_declined")
    if error:
        raise ConsentRequiredError("consent_failed", error=_known(error))


def _known(error: str) -> str:
    """Repeat an error only if Microsoft documents it.

    The parameters came through a browser.
    """
    return error if error in _ERRORS else "an error that is not documented"
