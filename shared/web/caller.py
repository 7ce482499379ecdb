"""Who calls: the claims of a verified access token, and whether they may. Pure but for the check itself.

https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import ForbiddenError, UnauthenticatedError

if TYPE_CHECKING:
    from shared.ports import CallerTokens
    from shared.web.exchange import Request


@dataclass(frozen=True, slots=True)
class Caller:
    """A workspace admin; the token's tenant chooses whose settings are meant, and nothing else can."""

    tenant_id: str
    object_id: str
    name: str


def admin_of(request: Request, tokens: CallerTokens, admin_role: str) -> Caller:
    """Return the workspace admin who calls.

    Raises:
        UnauthenticatedError: `token_missing`, `token_invalid`.
        ForbiddenError: `tenant_not_allowed`, `workspace_admin_required`.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError("token_missing")
    claims = tokens.verify(token.strip())
    if "scp" not in claims:
        # An ID token or an app's own token: no person stands behind a call of this API.
        raise UnauthenticatedError("token_invalid")
    roles = claims.get("roles")
    if not isinstance(roles, list) or admin_role not in roles:
        raise ForbiddenError("workspace_admin_required", role=admin_role)
    name = claims.get("preferred_username") or claims.get("name") or claims["oid"]
    return Caller(str(claims["tid"]), str(claims["oid"]), str(name))
