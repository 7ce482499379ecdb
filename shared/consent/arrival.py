"""From Microsoft's answer to kept tokens.

Everything is checked before the code is redeemed, and it is redeemed once. A crash can't break the
order of writes: the flow's secrets go before the code is redeemed, the tokens come before the
settings that name them, and replaced tokens go last. Once the settings name the consent it is
complete, whatever becomes of the flow's own row.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.consent.agreement import agreed
from shared.consent.disposal import dispose
from shared.consent.flow import ConsentFlow, FlowSecret, FlowStatus, matches
from shared.errors import (
    ConflictError,
    ConsentRequiredError,
    InvalidInputError,
    NotFoundError,
    ProblemError,
    TransientError,
)
from shared.settings.health import standing
from shared.settings.state import complete_consent, end_consent, holds
from shared.settings.update import update_settings
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.consent.agreement import Answer
    from shared.consent.dependencies import Consenting
    from shared.settings.tenant import Consent, TenantSettings


def arrive(flow: ConsentFlow | None, answer: Answer, cookie: str | None, ports: Consenting) -> ConsentFlow:
    """Finish a consent with what Microsoft's redirect brought, and return how the flow ended.

    `flow` is the one that the answer's state names. An answer that does not prove itself changes
    nothing. One that was answered already, such as a reloaded page, returns the flow as it is.

    Raises:
        NotFoundError: `consent_not_found`.
        InvalidInputError: `consent_reply_invalid`, `consent_wrong_browser`, `consent_link_used`.
    """
    if flow is None:
        raise NotFoundError("consent_not_found")
    secret = ports.flows.secret(flow.flow_id)
    if secret is None:
        return flow
    if not matches(answer.reply.get("state"), secret.state_hash):
        raise InvalidInputError("consent_reply_invalid")
    if not matches(cookie, secret.cookie_hash):
        raise InvalidInputError("consent_wrong_browser")
    if not ports.flows.take_secret(secret):
        raise InvalidInputError("consent_link_used")
    try:
        before = ports.settings.load(flow.tenant_id)
        consent = _complete(flow, secret, answer, before, ports)
    except ProblemError as error:
        return _close(flow, error, ports)
    done = _note(flow, consent, ports)
    dispose(flow.tenant_id, before.consent, ports)
    return done


def _complete(
    flow: ConsentFlow, secret: FlowSecret, answer: Answer, before: TenantSettings, ports: Consenting
) -> Consent:
    """Make what was agreed to the tenant's consent."""
    if flow.status_at(ports.world.now()) is FlowStatus.EXPIRED:
        raise InvalidInputError("consent_expired")
    consent = agreed(flow, secret, answer, before, ports)
    try:
        update_settings(
            ports.settings, flow.tenant_id, lambda now: complete_consent(now, flow.flow_id, consent)
        )
    except ConflictError:
        # This alone says that no settings name the tokens; after anything else the sweep finds out.
        dispose(flow.tenant_id, consent, ports)
        raise
    except TransientError:
        # The settings may have been written, and only the answer been lost.
        if not holds(ports.settings.load(flow.tenant_id), consent.generation):
            raise
    return consent


def _note(flow: ConsentFlow, consent: Consent, ports: Consenting) -> ConsentFlow:
    """Note a completed consent in its flow; what can't be noted now, the settings say as well."""
    done = replace(flow, status=FlowStatus.COMPLETED)
    try:
        ports.flows.save(done)
    except ProblemError as error:
        log_event(
            Event.REQUEST_FAILED,
            level=logging.WARNING,
            path="arrival",
            problem=error.code,
            flow_id=flow.flow_id,
        )
    log_event(
        Event.CONSENT_COMPLETED,
        tenant_id=flow.tenant_id,
        flow_id=flow.flow_id,
        started_by=flow.admin_id,
        consented_by=consent.account.object_id if consent.account else None,
    )
    return done


def _close(flow: ConsentFlow, error: ProblemError, ports: Consenting) -> ConsentFlow:
    """End a flow without a consent; what sent before goes on sending."""
    told = error
    if isinstance(error, TransientError):
        # What says that it is repeated by itself elsewhere is not repeated here.
        told = ConsentRequiredError("consent_interrupted", request_id=error.request_id)
    status = {"consent_declined": FlowStatus.DECLINED, "consent_expired": FlowStatus.EXPIRED}.get(
        error.code, FlowStatus.FAILED
    )
    ended = replace(flow, status=status, problem=standing(told, ports.world))
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
