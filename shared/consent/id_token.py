"""Validate who signed in from the claims of an ID token. Pure.

Since version 1.38 MSAL Python leaves this to the caller and checks only the nonce.

https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.errors import InvalidInputError
from shared.settings.tenant import Account

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.consent.flow import ConsentFlow
    from shared.settings.tenant import RequestedSender, TenantSettings


def owner_of(wanted: RequestedSender, flow: ConsentFlow, settings: TenantSettings) -> Account | None:
    """Return the account whose own address the From address is, if known.

    It is the admin's or the connected one.

    None where no token named the address: it may be a shared mailbox, a group, an alias, or an account that
    never signed in here.
    """
    connected = settings.consent.account if settings.consent else None
    known = [flow.admin, *([connected] if connected else [])]
    return next((account for account in known if account.owns(wanted.from_address)), None)


def as_owner(account: Account, wanted: RequestedSender, owner: Account | None) -> Account:
    """Return the signed-in account with the names that its owner is known by.

    It may have been renamed since, or only one of its tokens may name its address.
    """
    if owner is None or owner.object_id != account.object_id or account.owns(wanted.from_address):
        return account
    return owner.named(account.username, account.email)


def check_identity(
    claims: Mapping[str, Any], *, tenant_id: str, client_id: str, issuer: str, now: datetime
) -> Account:
    """Return the account that an ID token names.

    Raises:
        InvalidInputError: `consent_wrong_tenant`; or `consent_reply_invalid` for a token that was
            issued by or for somebody else or has expired, or that is missing.
    """
    if not claims:
        raise InvalidInputError("consent_reply_invalid")
    if claims.get("tid") != tenant_id:
        raise InvalidInputError("consent_wrong_tenant")
    in_time = isinstance(claims.get("exp"), int) and claims["exp"] > now.timestamp()
    identity = [claims.get("oid"), claims.get("preferred_username")]
    if claims.get("aud") != client_id or claims.get("iss") != issuer or not in_time or not all(identity):
        raise InvalidInputError("consent_reply_invalid")
    email = claims.get("email")
    return Account(
        str(claims["oid"]),
        tenant_id,
        str(claims["preferred_username"]),
        email=email if isinstance(email, str) else "",
    )
