"""Validate what a callback grants, and compare it with the request.

An admin consent for the app involves no sign-in to check: `admin_consent=True` also comes with a decline, and
`tenant` can be forged, so an app-only token is the only proof.

https://learn.microsoft.com/entra/identity-platform/v2-admin-consent
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.consent.callback_params import check_error
from shared.consent.confirming import Confirming
from shared.consent.id_token import as_owner, check_identity, owner_of
from shared.errors import ConsentRequiredError, InvalidInputError, ProblemError, TransientError
from shared.settings.scopes import missing_scopes, requested_and_granted, scopes_for
from shared.settings.secret_names import name_secret
from shared.settings.sender import check_listed
from shared.settings.state import pending_consent
from shared.settings.tenant import Authorization, Consent, same_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.consent.callback_params import CallbackParams
    from shared.consent.flow import ConsentFlow, FlowSecret
    from shared.consent.ports import TokenResponse
    from shared.consent.services import ConsentServices
    from shared.settings.tenant import Account, PendingConsent, RequestedSender, TenantSettings


def redeem_grant(
    flow: ConsentFlow,
    secret: FlowSecret,
    answer: CallbackParams,
    settings: TenantSettings,
    ports: ConsentServices,
) -> Consent:
    """Return the consent that a callback grants, with its tokens stored.

    Raises:
        ConsentRequiredError: `consent_declined`, `consent_failed`, `consent_code_used`,
            `consent_wrong_account`, `admin_approval_needed`, `permission_not_granted`,
            `consent_not_confirmed`.
        InvalidInputError: `consent_reply_invalid`, `consent_wrong_tenant`.
        ConflictError: `consent_superseded`, `application_sender_not_allowed`.
    """
    check_error(answer)
    pending = pending_consent(settings, flow.flow_id)
    if answer.authorization is not pending.wanted.authorization:
        raise InvalidInputError("consent_reply_invalid")
    with Confirming(flow, ports) as tries:
        if answer.authorization is Authorization.APPLICATION:
            return _verify_admin_consent(flow, answer, pending, settings, tries, ports)
        return _redeem(flow, secret, answer, pending, settings, tries, ports)


def _redeem(
    flow: ConsentFlow,
    secret: FlowSecret,
    answer: CallbackParams,
    pending: PendingConsent,
    settings: TenantSettings,
    tries: Confirming,
    ports: ConsentServices,
) -> Consent:
    redeemed = _redeem_code(flow, secret, answer, tries, ports)
    now = ports.system.now()
    account = check_identity(
        redeemed.claims,
        tenant_id=flow.tenant_id,
        client_id=ports.config.entra_client_id,
        issuer=f"{ports.config.authority(flow.tenant_id)}/v2.0",
        now=now,
    )
    owner = owner_of(pending.wanted, flow, settings)
    _check_account(account, pending.wanted, flow, owner)
    account = as_owner(account, pending.wanted, owner)
    needed = scopes_for(pending.wanted, shared=not account.owns(pending.wanted.from_address))
    tokens, granted = _confirm_scopes(redeemed, account, needed, tries, ports)
    secret_name = name_secret(flow.tenant_id, pending.generation)
    ports.vault.write(secret_name, tokens, new=True)
    return Consent(
        generation=pending.generation,
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
    flow: ConsentFlow, secret: FlowSecret, answer: CallbackParams, tries: Confirming, ports: ConsentServices
) -> TokenResponse:
    """Redeem the code; retry only where Entra refused before reading it."""
    while True:
        try:
            return ports.authorizer.redeem(flow.tenant_id, secret.proof, answer.reply)
        except ProblemError as error:
            _wait_for_app(error, tries)


def _wait_for_app(error: ProblemError, tries: Confirming) -> None:
    """Wait if Entra does not know the app or its credential yet.

    Any other refusal counts, and so does this one after a minute.
    """
    if error.unseen not in {"app", "credential"}:
        raise error
    if tries.again():
        return
    if error.unseen == "app":
        raise ConsentRequiredError("consent_not_confirmed", request_id=error.request_id) from error
    raise error


def _confirm_scopes(
    redeemed: TokenResponse,
    account: Account,
    needed: tuple[str, ...],
    tries: Confirming,
    ports: ConsentServices,
) -> tuple[str, frozenset[str]]:
    """Return the tokens and their permissions.

    A missing permission is requested again before it counts.
    """
    tokens, granted = redeemed.tokens, redeemed.scopes
    failure: TransientError | None = None
    while missing_scopes(needed, granted) and tries.again(failure.retry_after if failure else None):
        failure = None
        try:
            issued = ports.authorizer.refresh(account.tenant_id, tokens, account, needed)
        except TransientError as error:
            failure = error
        except ProblemError as error:
            if not error.unseen:
                raise
        else:
            tokens = issued.tokens
            granted = frozenset(needed) if issued.scopes is None else issued.scopes
    if failure is not None:
        # It is too early to conclude that a permission is missing.
        raise failure
    _check_granted(needed, granted)
    return tokens, granted


def _verify_admin_consent(
    flow: ConsentFlow,
    answer: CallbackParams,
    pending: PendingConsent,
    settings: TenantSettings,
    tries: Confirming,
    ports: ConsentServices,
) -> Consent:
    if answer.reply.get("admin_consent", "").casefold() != "true":
        raise InvalidInputError("consent_reply_invalid")
    # The operator may have shortened the list while the admin was at Microsoft.
    check_listed(pending.wanted, ports.config.application_senders)
    asked = scopes_for(pending.wanted)
    granted = _confirm_roles(flow, asked, tries, ports)
    now = ports.system.now()
    return Consent(
        generation=pending.generation,
        flow_id=flow.flow_id,
        account=None,
        # Where no readable token names a permission, the calls themselves show what is permitted.
        scopes=frozenset(asked),
        secret_name=None,
        started_by=flow.admin_name,
        consented_by="",
        consented_at=now,
        refreshed_at=now,
        stored_at=now,
        granted=granted,
        mailbox_id=_mailbox_id(pending.wanted, flow, settings),
    )


def _mailbox_id(wanted: RequestedSender, flow: ConsentFlow, settings: TenantSettings) -> str | None:
    """Return the object id of the mailbox where it is known.

    It survives that the mailbox is renamed.

    Graph finds a mailbox by its id or sign-in name, not by its address. An id that Graph refused is deleted
    from the settings, so it is not used again.
    """
    owner = owner_of(wanted, flow, settings)
    if owner:
        return owner.object_id
    same = settings.sender and same_address(settings.sender.from_address, wanted.from_address)
    return settings.consent.mailbox_id if same and settings.consent else None


def _confirm_roles(
    flow: ConsentFlow, asked: tuple[str, ...], tries: Confirming, ports: ConsentServices
) -> frozenset[str] | None:
    """Return the roles of the app's token; None where it can't be read.

    Missing roles are requested again before they count.

    A token without any role is accepted: permissions that Exchange grants are in no token. Without a token
    there is no proof of the consent.
    """
    while True:
        try:
            granted = ports.authorizer.app_only(flow.tenant_id).scopes
        except TransientError as error:
            if not tries.again(error.retry_after):
                raise
            continue
        except ProblemError as error:
            _wait_for_app(error, tries)
            continue
        if granted is None or not missing_scopes(asked, granted) or not tries.again():
            break
    if granted:
        _check_granted(asked, granted)
    return granted


def _check_account(
    account: Account, wanted: RequestedSender, flow: ConsentFlow, owner: Account | None
) -> None:
    """Refuse another account where the From address is a known personal one.

    That is the admin's own, or the account's that consented before. Otherwise a person who picked the wrong
    account on Microsoft's page would send in somebody else's name, or notice with the first report. A renamed
    account is recognised by its id.
    """
    if owner is None or owner.object_id == account.object_id or account.owns(wanted.from_address):
        return
    # After a Reset another account can send for the connected address; it does not help with the admin's own.
    code = "consent_wrong_account" if owner.object_id == flow.admin_id else "consent_account_changed"
    raise ConsentRequiredError(code, account=account.name, address=wanted.from_address, owner=owner.name)


def _check_granted(asked: Iterable[str], granted: Iterable[str]) -> None:
    missing = missing_scopes(asked, granted)
    if missing:
        raise ConsentRequiredError("permission_not_granted", missing=", ".join(missing))
