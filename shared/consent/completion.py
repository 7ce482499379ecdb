"""End the flow of a consent: complete it, or store why it failed.

The order of the writes allows for a crash between any two of them: the tokens are stored before the settings
that name them, and replaced tokens are deleted last. Once the settings name a consent, it is complete, even
if the row of its flow does not say so yet.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.consent.errors import ConsentDeclinedError, ConsentExpiredError
from shared.consent.flow import ConsentFlow, FlowStatus
from shared.consent.revoke import delete_consent_tokens
from shared.errors import ConflictError, ConsentRequiredError, ProblemError, TransientError
from shared.settings.state import complete_consent, end_consent, is_current_consent
from shared.settings.update import active_problem, update_settings
from shared.telemetry import Event, log_event, log_failed_step

if TYPE_CHECKING:
    from shared.consent.services import ConsentServices
    from shared.settings.tenant import Consent, TenantSettings

#: The final status of a flow that ends with this error. After any other error it is `failed`.
_STATUS_BY_ERROR: dict[type[ProblemError], FlowStatus] = {
    ConsentDeclinedError: FlowStatus.DECLINED,
    ConsentExpiredError: FlowStatus.EXPIRED,
}


def complete_flow(flow: ConsentFlow, consent: Consent, ports: ConsentServices) -> ConsentFlow:
    """Store a consent and end its flow, with the problem if that fails."""
    try:
        replaced = _write(flow, consent, ports)
    except ProblemError as error:
        return close_flow(flow, error, ports)
    completed = _record_completed(flow, consent, ports)
    if replaced:
        delete_consent_tokens(flow.tenant_id, replaced, ports)
    return completed


def _write(flow: ConsentFlow, consent: Consent, ports: ConsentServices) -> Consent | None:
    """Write the settings that name the consent; return the replaced one."""
    replaced: list[Consent | None] = [None]

    def change(now: TenantSettings) -> TenantSettings:
        if not is_current_consent(now, consent.version):
            replaced[0] = now.consent
        return complete_consent(now, flow.flow_id, consent)

    try:
        update_settings(ports.settings, flow.tenant_id, change)
    except ConflictError:
        # Only this error proves that no settings name the tokens. After other errors, the daily maintenance
        # finds out whether any do.
        delete_consent_tokens(flow.tenant_id, consent, ports)
        raise
    except TransientError:
        # The settings may have been written, and only the response been lost.
        if not is_current_consent(ports.settings.load(flow.tenant_id), consent.version):
            raise
    return replaced[0]


def _record_completed(flow: ConsentFlow, consent: Consent, ports: ConsentServices) -> ConsentFlow:
    """Store in the flow that its consent is complete.

    A failure is only logged, because the settings show it too.
    """
    completed = replace(flow, status=FlowStatus.COMPLETED)
    save_flow(completed, ports)
    log_event(
        Event.CONSENT_COMPLETED,
        tenant_id=flow.tenant_id,
        flow_id=flow.flow_id,
        started_by=flow.admin_id,
        consented_by=consent.account.object_id if consent.account else None,
    )
    return completed


def close_flow(flow: ConsentFlow, error: ProblemError, ports: ConsentServices) -> ConsentFlow:
    """End a flow without a consent; an existing consent stays in use."""
    recorded = error
    if isinstance(error, TransientError):
        # The text of a transient problem promises an automatic retry, but a consent is never retried.
        recorded = ConsentRequiredError("consent_interrupted", request_id=error.request_id)
    status = _STATUS_BY_ERROR.get(type(error), FlowStatus.FAILED)
    ended = replace(flow, status=status, problem=active_problem(recorded, ports.system))
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


def save_flow(flow: ConsentFlow, ports: ConsentServices) -> None:
    """Store the state of a flow; log a failure, which does no harm."""
    try:
        ports.flows.save(flow)
    except ProblemError as error:
        log_failed_step("save_flow", error.code, flow_id=flow.flow_id)
