"""Complete a consent: store the settings that name its tokens.

Otherwise the flow stores why not.

A crash can't break the order of writes: the tokens come before the settings that name them, and replaced
tokens are deleted last. Once the settings name the consent it is complete, even if the flow's own row is not.
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

#: The final status of a flow by its error; for any other error it is failed.
_ENDS = {ConsentDeclinedError: FlowStatus.DECLINED, ConsentExpiredError: FlowStatus.EXPIRED}


def complete(flow: ConsentFlow, consent: Consent, ports: ConsentServices) -> ConsentFlow:
    """Complete a consent, or end the flow with the problem."""
    try:
        replaced = _write(flow, consent, ports)
    except ProblemError as error:
        return close(flow, error, ports)
    done = _record_completed(flow, consent, ports)
    if replaced:
        delete_consent_tokens(flow.tenant_id, replaced, ports)
    return done


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
        # Only this error proves that no settings name the tokens; after others the maintenance finds out.
        delete_consent_tokens(flow.tenant_id, consent, ports)
        raise
    except TransientError:
        # The settings may have been written, and only the response been lost.
        if not is_current_consent(ports.settings.load(flow.tenant_id), consent.version):
            raise
    return replaced[0]


def _record_completed(flow: ConsentFlow, consent: Consent, ports: ConsentServices) -> ConsentFlow:
    """Store that the consent is complete in its flow.

    If that fails, the settings say so too.
    """
    done = replace(flow, status=FlowStatus.COMPLETED)
    save_flow(done, ports)
    log_event(
        Event.CONSENT_COMPLETED,
        tenant_id=flow.tenant_id,
        flow_id=flow.flow_id,
        started_by=flow.admin_id,
        consented_by=consent.account.object_id if consent.account else None,
    )
    return done


def close(flow: ConsentFlow, error: ProblemError, ports: ConsentServices) -> ConsentFlow:
    """End a flow without a consent; an existing consent stays in use."""
    recorded = error
    if isinstance(error, TransientError):
        # The text of a transient problem promises an automatic retry; a consent is never retried.
        recorded = ConsentRequiredError("consent_interrupted", request_id=error.request_id)
    status = next((end for kind, end in _ENDS.items() if isinstance(error, kind)), FlowStatus.FAILED)
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
    """Store the state of a flow, where nothing depends on it."""
    try:
        ports.flows.save(flow)
    except ProblemError as error:
        log_failed_step("save_flow", error.code, flow_id=flow.flow_id)
