"""Microsoft's answer to a sign-in or to an admin's consent, as it came through the browser. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
class Answer:
    """What came back, and the way of authorisation whose address it came to."""

    way: Authorization
    reply: Mapping[str, str] = field(repr=False)


def check_error(answer: Answer) -> None:
    """Look for `error` first: a declined consent can come with marks of success.

    Raises:
        ConsentRequiredError: `consent_declined`, `consent_failed`.
    """
    error = answer.reply.get("error")
    if error in _DECLINED[answer.way]:
        raise ConsentRequiredError("consent_declined")
    if error:
        raise ConsentRequiredError("consent_failed", error=_known(error))


def _known(error: str) -> str:
    """Repeat an error only if it is one that Microsoft documents: the reply came through a browser."""
    return error if error in _ERRORS else "an error that is not documented"
