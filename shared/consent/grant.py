"""Validate what a sign-in grants, and compare it with the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.errors import ConsentRequiredError, InvalidInputError, ProblemError, TransientError
from shared.settings.scopes import missing_scopes, requested_and_granted, scopes_for
from shared.settings.secret_names import name_secret
from shared.settings.tenant import Account, Consent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from shared.consent.directory_wait import DirectoryRetries
    from shared.consent.flow import ConsentFlow, FlowSecret
    from shared.consent.ports import TokenResponse
    from shared.consent.services import ConsentServices
    from shared.settings.tenant import PendingConsent, RequestedSender, TenantSettings


def redeem_grant(
    flow: ConsentFlow,
    secret: FlowSecret,
    callback: Mapping[str, str],
    pending: PendingConsent,
    settings: TenantSettings,
    retries: DirectoryRetries,
    ports: ConsentServices,
) -> Consent:
    """Return the consent that a sign-in grants, with its tokens stored.

    `callback` has the parameters of the callback.

    Raises:
        ConsentRequiredError: `consent_code_used`, `consent_wrong_account`, `consent_account_changed`,
            `admin_approval_needed`, `permission_not_granted`, `consent_not_confirmed`.
        InvalidInputError: `consent_reply_invalid`, `consent_wrong_tenant`.
    """
    redeemed = _redeem_code(flow, secret, callback, retries, ports)
    now = ports.system.now()
    account = check_identity(
        redeemed.claims,
        tenant_id=flow.tenant_id,
        client_id=ports.config.entra_client_id,
        issuer=f"{ports.config.authority(flow.tenant_id)}/v2.0",
        now=now,
    )
    owner = flow.known_owner(pending.requested.from_address, settings)
    _check_account(account, pending.requested, flow, owner)
    account = _as_owner(account, pending.requested, owner)
    needed = scopes_for(pending.requested, shared=not account.owns(pending.requested.from_address))
    tokens, granted = _confirm_scopes(redeemed, account, needed, retries, ports)
    secret_name = name_secret(flow.tenant_id, pending.version)
    ports.vault.write(secret_name, tokens, new=True)
    return Consent(
        version=pending.version,
        flow_id=flow.flow_id,
        account=account,
        scopes=requested_and_granted(needed, granted),
        secret_name=secret_name,
        started_by=flow.admin_name,
        consented_by=account.name,
        consented_at=now,
        refreshed_at=now,
        stored_at=now,
        granted=granted,
    )


def _redeem_code(
    flow: ConsentFlow,
    secret: FlowSecret,
    callback: Mapping[str, str],
    retries: DirectoryRetries,
    ports: ConsentServices,
) -> TokenResponse:
    """Redeem the code; retry only where Entra refused before reading it."""
    while True:
        try:
            return ports.authorizer.redeem(flow.tenant_id, secret.auth_flow, callback)
        except ProblemError as error:
            retries.wait_for_app(error)


def check_identity(
    claims: Mapping[str, Any], *, tenant_id: str, client_id: str, issuer: str, now: datetime
) -> Account:
    """Return the account that an ID token names.

    Since version 1.38 MSAL Python leaves this to the caller and checks only the nonce.
    https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference

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


def _check_account(
    account: Account, requested: RequestedSender, flow: ConsentFlow, owner: Account | None
) -> None:
    """Refuse another account where the From address is a known personal one.

    That is the admin's own, or the account's that consented before. Otherwise a person who picked the wrong
    account on Microsoft's page would send in somebody else's name, or notice with the first report. A renamed
    account is recognised by its id.
    """
    if owner is None or owner.object_id == account.object_id or account.owns(requested.from_address):
        return
    # After a Reset another account can send for the connected address; it does not help with the admin's own.
    code = "consent_wrong_account" if owner.object_id == flow.admin_id else "consent_account_changed"
    raise ConsentRequiredError(code, account=account.name, address=requested.from_address, owner=owner.name)


def _as_owner(account: Account, requested: RequestedSender, owner: Account | None) -> Account:
    """Return the signed-in account with the names that its owner is known by.

    It may have been renamed since, or only one of its tokens may name its address.
    """
    if owner is None or owner.object_id != account.object_id or account.owns(requested.from_address):
        return account
    return owner.with_names(account.username, account.email)


def _confirm_scopes(
    redeemed: TokenResponse,
    account: Account,
    needed: tuple[str, ...],
    retries: DirectoryRetries,
    ports: ConsentServices,
) -> tuple[str, frozenset[str]]:
    """Return the tokens and their permissions.

    A missing permission is requested again before it counts.
    """
    tokens, granted = redeemed.tokens, redeemed.scopes
    failure: TransientError | None = None
    while missing_scopes(needed, granted) and retries.again(failure.retry_after if failure else None):
        failure = None
        try:
            response = ports.authorizer.refresh(account.tenant_id, tokens, account, needed)
        except TransientError as error:
            failure = error
        except ProblemError as error:
            if not error.replicating:
                raise
        else:
            tokens = response.tokens
            granted = frozenset(needed) if response.scopes is None else response.scopes
    if failure is not None:
        # It is too early to conclude that a permission is missing.
        raise failure
    check_granted(needed, granted)
    return tokens, granted


def check_granted(requested: Iterable[str], granted: Iterable[str]) -> None:
    """Refuse a consent without all requested permissions.

    Raises:
        ConsentRequiredError: `permission_not_granted`.
    """
    missing = missing_scopes(requested, granted)
    if missing:
        raise ConsentRequiredError("permission_not_granted", missing=", ".join(missing))
