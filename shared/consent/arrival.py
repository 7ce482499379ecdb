"""From Microsoft's answer to kept tokens.

Everything is checked before the code is redeemed, and it is redeemed once. A crash can't break the
order of writes: the flow's secrets go before the code is redeemed, the tokens come before the
settings that name them, and replaced tokens go last.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.consent.agreement import agreed
from shared.consent.disposal import dispose
from shared.consent.flow import ConsentFlow, FlowSecret, FlowStatus, matches
from shared.errors import (
    ConsentRequiredError,
    InvalidInputError,
    NotFoundError,
    ProblemError,
    TransientError,
)
from shared.settings.health import standing
from shared.settings.state import complete_consent, end_consent
from shared.settings.update import update_settings
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.consent.agreement import Answer
    from shared.consent.dependencies import Consenting
    from shared.settings.tenant import Consent


def arrive(flow: ConsentFlow | None, answer: Answer, cookie: str | None, ports: Consenting) -> ConsentFlow:
    """Finish a consent with what Microsoft's redirect brought, and return how the flow ended.

    `flow` is the one that the answer's state names. An answer that does not prove itself changes
    nothing. One that was answered already, such as a reloaded page, returns how the flow ended then.

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
        replaced = _complete(flow, secret, answer, ports)
    except ProblemError as error:
        return _close(flow, error, ports)
    done = replace(flow, status=FlowStatus.COMPLETED)
    ports.flows.save(done)
    log_event(Event.CONSENT_COMPLETED, tenant_id=flow.tenant_id, flow_id=flow.flow_id)
    dispose(flow.tenant_id, replaced, ports)
    return done


def _complete(flow: ConsentFlow, secret: FlowSecret, answer: Answer, ports: Consenting) -> Consent | None:
    """Make the consent the tenant's, and return the one that it replaces."""
    if flow.status_at(ports.world.now()) is FlowStatus.EXPIRED:
        raise InvalidInputError("consent_expired")
    before = ports.settings.load(flow.tenant_id)
    consent = agreed(flow, secret, answer, before, ports)
    try:
        update_settings(
            ports.settings, flow.tenant_id, lambda now: complete_consent(now, flow.flow_id, consent)
        )
    except ProblemError:
        dispose(flow.tenant_id, consent, ports)
        raise
    return before.consent


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
