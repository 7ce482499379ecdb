"""Who signed in: the claims of an ID token, checked. Pure.

MSAL Python leaves this to the caller since 1.38 and checks the nonce alone.
https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.errors import InvalidInputError
from shared.settings.tenant import Account

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


def check_identity(
    claims: Mapping[str, Any], *, tenant_id: str, client_id: str, issuer: str, now: datetime
) -> Account:
    """Return the account that an ID token names.

    Raises:
        InvalidInputError: `consent_wrong_tenant`; or `consent_reply_invalid` for a token that was
            issued by somebody else, for somebody else, or has expired.
    """
    if claims.get("tid") != tenant_id:
        raise InvalidInputError("consent_wrong_tenant")
    in_time = isinstance(claims.get("exp"), int) and claims["exp"] > now.timestamp()
    identity = [claims.get("oid"), claims.get("preferred_username")]
    if claims.get("aud") != client_id or claims.get("iss") != issuer or not in_time or not all(identity):
        raise InvalidInputError("consent_reply_invalid")
    return Account(str(claims["oid"]), tenant_id, str(claims["preferred_username"]))
