"""Redeem the code of a sign-in, and check what the person granted."""

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
    """Redeem the code; retry if Entra refused the app before reading it."""
    while True:
        try:
            return ports.authorizer.redeem(flow.tenant_id, secret.auth_flow, callback)
        except ProblemError as error:
            retries.wait_for_app(error)


def check_identity(
    claims: Mapping[str, Any], *, tenant_id: str, client_id: str, issuer: str, now: datetime
) -> Account:
    """Return the account that an ID token names.

    Since version 1.38, MSAL Python checks only the nonce, and leaves the other checks to its caller.
    https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference

    Raises:
        InvalidInputError: `consent_wrong_tenant`; `consent_reply_invalid` if the token is missing, has
            expired, or was issued by another issuer or for another client.
    """
    if not claims:
        raise InvalidInputError("consent_reply_invalid")
    if claims.get("tid") != tenant_id:
        raise InvalidInputError("consent_wrong_tenant")
    is_for_this_app = claims.get("aud") == client_id and claims.get("iss") == issuer
    is_valid_now = isinstance(claims.get("exp"), int) and claims["exp"] > now.timestamp()
    names_account = claims.get("oid") and claims.get("preferred_username")
    if not (is_for_this_app and is_valid_now and names_account):
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
    """Refuse an account if the From address belongs to another known person.

    Known are the admin who started the consent and the account of the current consent. Without this check, a
    person who picked the wrong account on Microsoft's page would notice it only when the first report is
    sent, or is sent in another person's name. A renamed account is recognised by its id.
    """
    if owner is None or owner.object_id == account.object_id or account.owns(requested.from_address):
        return
    # The text of `consent_account_changed` proposes a Reset, after which another account can send from the
    # address of the current consent. A Reset does not help if the address is the admin's own.
    code = "consent_wrong_account" if owner.object_id == flow.admin_id else "consent_account_changed"
    raise ConsentRequiredError(code, account=account.name, address=requested.from_address, owner=owner.name)


def _as_owner(account: Account, requested: RequestedSender, owner: Account | None) -> Account:
    """Return the signed-in account with the address by which it is known.

    If the account was renamed, or if this token does not have its address, the account would not count as the
    owner of the From address without the names in an earlier token.
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
    """Return the tokens and the permissions that they have.

    While a permission is missing, other tokens are requested, because Entra may not know the consent yet.

    Raises:
        ConsentRequiredError: `permission_not_granted`.
        TransientError: the last request failed, so it is not known whether a permission is missing.
    """
    tokens, granted = redeemed.tokens, redeemed.scopes
    failure: TransientError | None = None
    while missing_scopes(needed, granted) and retries.pause_before_retry(
        failure.retry_after if failure else None
    ):
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
