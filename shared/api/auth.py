"""Authorize the caller by the claims of its access token.

https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.caller import Caller
from shared.errors import ForbiddenError, UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.api.openapi.operation import Operation
    from shared.api.request import Request
    from shared.caller import CallerTokens
    from shared.config import AppConfig


def verified_claims(request: Request, tokens: CallerTokens) -> Mapping[str, Any]:
    """Verify the bearer token of a request, and return its claims.

    Raises:
        UnauthenticatedError: `token_missing`, `token_invalid`.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError("token_missing")
    return tokens.verify(token.strip())


def authorize(claims: Mapping[str, Any], operation: Operation, config: AppConfig) -> Caller:
    """Return the caller, if the claims allow it to call this operation.

    Raises:
        UnauthenticatedError: `token_invalid`, for an ID token.
        ForbiddenError: for a user `client_not_allowed`, `scope_required`, `workspace_admin_required`; for an
            application `application_role_required`, `signed_in_admin_required`.
    """
    if "scp" in claims:
        # The client is checked for a signed-in user only, because a person can sign in to any client. An
        # application that calls without a user needs a role that an admin has assigned to it.
        _check_client(claims, config)
        _check_user(claims, config)
    else:
        _check_application(claims, operation.application_roles)
    # The display name is never used, because in some tenants people can choose their own. The page on which
    # another person confirms a consent shows this name as the requester's.
    name = claims.get("preferred_username") or claims["oid"]
    email = claims.get("email")
    return Caller(str(claims["tid"]), str(claims["oid"]), str(name), email if isinstance(email, str) else "")


def _check_application(claims: Mapping[str, Any], wanted: tuple[str, ...]) -> None:
    """Accept an application's own token if it has an accepted role.

    An ID token has no `scp` either. Only the claim `idtyp`, which the app registration must request,
    distinguishes the two.

    https://learn.microsoft.com/entra/identity-platform/optional-claims-reference
    """
    if claims.get("idtyp") != "app":
        raise UnauthenticatedError("token_invalid")
    if not wanted:
        raise ForbiddenError("signed_in_admin_required")
    if not _has_role(claims, wanted):
        raise ForbiddenError("application_role_required", role=" or ".join(wanted))


def _check_client(claims: Mapping[str, Any], config: AppConfig) -> None:
    allowed = config.allowed_client_ids
    if allowed and str(claims.get("azp", "")).lower() not in allowed:
        raise ForbiddenError("client_not_allowed")


def _check_user(claims: Mapping[str, Any], config: AppConfig) -> None:
    scopes = claims["scp"]
    if not isinstance(scopes, str) or config.required_api_scope not in scopes.split():
        raise ForbiddenError("scope_required", scope=config.required_api_scope)
    if not _has_role(claims, (config.admin_role,)):
        raise ForbiddenError("workspace_admin_required", role=config.admin_role)


def _has_role(claims: Mapping[str, Any], wanted: tuple[str, ...]) -> bool:
    roles = claims.get("roles")
    return isinstance(roles, list) and any(role in roles for role in wanted)
