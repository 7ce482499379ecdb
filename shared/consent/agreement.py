"""What Microsoft's answer agrees to: read, proved, and compared with what was asked for.

The application way has no sign-in of its own to check: `admin_consent=True` also comes with a
decline, and `tenant` can be forged, so an app-only token is the only proof.
https://learn.microsoft.com/entra/identity-platform/v2-admin-consent
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.consent.identity import check_identity
from shared.consent.scopes import missing_scopes, scopes_for
from shared.errors import ConsentRequiredError, InvalidInputError
from shared.settings.state import pending_consent
from shared.settings.tenant import Authorization, Consent, same_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.consent.dependencies import Consenting
    from shared.consent.flow import ConsentFlow, FlowSecret
    from shared.settings.tenant import Account, PendingConsent, TenantSettings, Wanted


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and the way of authorisation whose address it came to."""

    way: Authorization
    reply: Mapping[str, str] = field(repr=False)


def agreed(
    flow: ConsentFlow, secret: FlowSecret, answer: Answer, settings: TenantSettings, ports: Consenting
) -> Consent:
    """Return the consent that an answer gives, its tokens kept.

    Raises:
        ConsentRequiredError: `consent_declined`, `consent_failed`, `consent_code_used`,
            `consent_wrong_account`, `admin_approval_needed`, `permission_not_granted`.
        InvalidInputError: `consent_reply_invalid`, `consent_wrong_tenant`.
        ConflictError: `consent_superseded`.
    """
    _check_error(answer)
    pending = pending_consent(settings, flow.flow_id)
    if answer.way is not pending.wanted.authorization:
        raise InvalidInputError("consent_reply_invalid")
    if answer.way is Authorization.APPLICATION:
        return _prove(flow, answer, pending, ports)
    return _redeem(flow, secret, answer, settings, ports)


def _check_error(answer: Answer) -> None:
    """Look for `error` first: a declined consent can come with marks of success."""
    error = answer.reply.get("error")
    if error in _DECLINED[answer.way]:
        raise ConsentRequiredError("consent_declined")
    if error:
        raise ConsentRequiredError("consent_failed", error=_known(error))


def _redeem(
    flow: ConsentFlow, secret: FlowSecret, answer: Answer, settings: TenantSettings, ports: Consenting
) -> Consent:
    pending = pending_consent(settings, flow.flow_id)
    redeemed = ports.authorizer.redeem(flow.tenant_id, secret.proof, answer.reply)
    now = ports.world.now()
    account = check_identity(
        redeemed.claims,
        tenant_id=flow.tenant_id,
        client_id=ports.config.entra_client_id,
        issuer=f"{ports.config.authority(flow.tenant_id)}/v2.0",
        now=now,
    )
    _check_account(account, pending.wanted, flow, settings)
    shared = not same_address(pending.wanted.from_address, account.username)
    _check_granted(scopes_for(pending.wanted, shared=shared), redeemed.scopes)
    secret_name = f"smtp-{flow.tenant_id}-{pending.generation}"
    ports.vault.write(secret_name, redeemed.tokens)
    return Consent(
        generation=pending.generation,
        flow_id=flow.flow_id,
        account=account,
        scopes=redeemed.scopes,
        secret_name=secret_name,
        started_by=flow.admin_name,
        consented_by=account.username,
        consented_at=now,
        refreshed_at=now,
        stored_at=now,
    )


def _prove(flow: ConsentFlow, answer: Answer, pending: PendingConsent, ports: Consenting) -> Consent:
    if answer.reply.get("admin_consent", "").casefold() != "true":
        raise InvalidInputError("consent_reply_invalid")
    granted = ports.authorizer.app_only(flow.tenant_id).scopes
    asked = scopes_for(pending.wanted)
    if granted:
        _check_granted(asked, granted)
    now = ports.world.now()
    return Consent(
        generation=pending.generation,
        flow_id=flow.flow_id,
        account=None,
        scopes=granted or frozenset(asked),
        secret_name=None,
        started_by=flow.admin_name,
        consented_by=flow.admin_name,
        consented_at=now,
        refreshed_at=now,
        stored_at=now,
    )


def _check_account(account: Account, wanted: Wanted, flow: ConsentFlow, settings: TenantSettings) -> None:
    """Refuse another account where the From address is known to be a person's own mailbox.

    That is the admin's, or the one that consented before: whoever picked the wrong tile on Microsoft's
    page would otherwise send in somebody's name, or find out with the first report.
    """
    before = settings.consent.account if settings.consent else None
    owners = [flow.admin_name, *([before.username] if before else [])]
    owned = any(same_address(wanted.from_address, owner) for owner in owners)
    if owned and not same_address(wanted.from_address, account.username):
        raise ConsentRequiredError(
            "consent_wrong_account", account=account.username, address=wanted.from_address
        )


def _check_granted(asked: Iterable[str], granted: Iterable[str]) -> None:
    missing = missing_scopes(asked, granted)
    if missing:
        raise ConsentRequiredError("permission_not_granted", missing=", ".join(missing))


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


def _known(error: str) -> str:
    """Repeat an error only if it is one that Microsoft documents: the reply came through a browser."""
    return error if error in _ERRORS else "an error that is not documented"
