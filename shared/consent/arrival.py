"""From Microsoft's answer to kept tokens.

Everything is checked before the code is redeemed, and it is redeemed once. A crash can't break the
order of writes: the flow's secrets go before the code is redeemed, the tokens come before the
settings that name them, and replaced tokens go last.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.consent.disposal import dispose
from shared.consent.flow import ConsentFlow, FlowSecret, FlowStatus, matches
from shared.consent.identity import check_identity
from shared.consent.scopes import missing_scopes, scopes_for
from shared.errors import (
    ConsentRequiredError,
    InvalidInputError,
    NotFoundError,
    ProblemError,
)
from shared.settings.health import standing
from shared.settings.state import complete_consent, end_consent, pending_consent
from shared.settings.tenant import Consent
from shared.settings.update import update_settings
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.consent.dependencies import Consenting
    from shared.settings.tenant import PendingConsent


def arrive(
    flow: ConsentFlow | None, reply: Mapping[str, str], cookie: str | None, ports: Consenting
) -> ConsentFlow:
    """Finish a consent with what Microsoft's redirect brought, and return how the flow ended.

    `flow` is the one that the reply's state names.

    A reply that does not prove itself changes nothing. One that was answered already, such as a
    reloaded page, returns how the flow ended then.

    Raises:
        NotFoundError: `consent_not_found`.
        InvalidInputError: `consent_reply_invalid`, `consent_wrong_browser`, `consent_link_used`.
    """
    if flow is None:
        raise NotFoundError("consent_not_found")
    secret = ports.flows.secret(flow.flow_id)
    if secret is None:
        return flow
    if not matches(reply.get("state"), secret.state_hash):
        raise InvalidInputError("consent_reply_invalid")
    if not matches(cookie, secret.cookie_hash):
        raise InvalidInputError("consent_wrong_browser")
    if not ports.flows.take_secret(secret):
        raise InvalidInputError("consent_link_used")
    try:
        replaced = _complete(flow, secret, reply, ports)
    except ProblemError as error:
        return _close(flow, error, ports)
    done = replace(flow, status=FlowStatus.COMPLETED)
    ports.flows.save(done)
    log_event(Event.CONSENT_COMPLETED, tenant_id=flow.tenant_id, flow_id=flow.flow_id)
    dispose(flow.tenant_id, replaced, ports)
    return done


def _complete(
    flow: ConsentFlow, secret: FlowSecret, reply: Mapping[str, str], ports: Consenting
) -> Consent | None:
    """Make the consent the tenant's, and return the one that it replaces."""
    if flow.status_at(ports.world.now()) is FlowStatus.EXPIRED:
        raise InvalidInputError("consent_expired")
    _check_answer(reply)
    before = ports.settings.load(flow.tenant_id)
    pending = pending_consent(before, flow.flow_id)
    consent = _redeem(flow, secret, reply, pending, ports)
    try:
        update_settings(
            ports.settings, flow.tenant_id, lambda now: complete_consent(now, flow.flow_id, consent)
        )
    except ProblemError:
        dispose(flow.tenant_id, consent, ports)
        raise
    return before.consent


def _check_answer(reply: Mapping[str, str]) -> None:
    """Look for `error` first: a declined consent can come with marks of success."""
    error = reply.get("error")
    if error == "access_denied":
        raise ConsentRequiredError("consent_declined")
    if error:
        raise ConsentRequiredError("consent_failed", error=_known(error))


def _redeem(
    flow: ConsentFlow,
    secret: FlowSecret,
    reply: Mapping[str, str],
    pending: PendingConsent,
    ports: Consenting,
) -> Consent:
    redeemed = ports.authorizer.redeem(flow.tenant_id, secret.proof, reply)
    now = ports.world.now()
    account = check_identity(
        redeemed.claims,
        tenant_id=flow.tenant_id,
        client_id=ports.config.entra_client_id,
        issuer=f"{ports.config.authority(flow.tenant_id)}/v2.0",
        now=now,
    )
    missing = missing_scopes(scopes_for(pending.wanted), redeemed.scopes)
    if missing:
        raise ConsentRequiredError("permission_not_granted", missing=", ".join(missing))
    secret_name = f"smtp-{flow.tenant_id}-{pending.generation}"
    ports.vault.write(secret_name, redeemed.tokens)
    return Consent(
        generation=pending.generation,
        account=account,
        scopes=redeemed.scopes,
        secret_name=secret_name,
        consented_by=account.username,
        consented_at=now,
        refreshed_at=now,
        stored_at=now,
    )


def _close(flow: ConsentFlow, error: ProblemError, ports: Consenting) -> ConsentFlow:
    """End a flow without a consent; what sent before goes on sending."""
    status = {"consent_declined": FlowStatus.DECLINED, "consent_expired": FlowStatus.EXPIRED}.get(
        error.code, FlowStatus.FAILED
    )
    ended = replace(flow, status=status, problem=standing(error, ports.world))
    ports.flows.save(ended)
    update_settings(ports.settings, flow.tenant_id, lambda now: end_consent(now, flow.flow_id))
    log_event(
        Event.CONSENT_NOT_COMPLETED,
        level=logging.WARNING,
        tenant_id=flow.tenant_id,
        flow_id=flow.flow_id,
        problem=error.code,
        request_id=error.request_id,
    )
    return ended


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
