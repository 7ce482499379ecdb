"""Delete tokens and secrets that no settings name any more."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.errors import ProblemError
from shared.settings.state import record_deleted_tokens, record_undeleted_tokens
from shared.settings.update import update_settings
from shared.telemetry import Event, log_event, log_failed_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.consent.flow import FlowSecret
    from shared.consent.services import ConsentServices, RevokeServices
    from shared.settings.tenant import Consent, TenantSettings


def delete_consent_tokens(tenant_id: str, consent: Consent | None, ports: RevokeServices) -> None:
    """Delete a consent's tokens, and record until when they are recoverable.

    If the vault is not available, the tokens stay there, unused, until the daily maintenance deletes them.
    """
    if consent and consent.secret_name:
        delete_tokens(tenant_id, consent.secret_name, ports)


def delete_tokens(tenant_id: str, secret_name: str, ports: RevokeServices) -> None:
    """Delete tokens by name, and record in the settings what remains."""
    now = ports.system.now()
    try:
        until = ports.vault.delete(secret_name)
    except ProblemError as error:
        log_event(Event.TOKENS_LEFT_BEHIND, level=logging.WARNING, problem=error.code, kept_as=secret_name)
        _record(tenant_id, lambda found: record_undeleted_tokens(found, secret_name, now), ports)
        return
    _record(tenant_id, lambda found: record_deleted_tokens(found, secret_name, until, now), ports)


def _record(
    tenant_id: str, change: Callable[[TenantSettings], TenantSettings], ports: RevokeServices
) -> None:
    """Write the settings; after a failure the daily maintenance does it."""
    try:
        update_settings(ports.settings, tenant_id, change)
    except ProblemError as error:
        log_failed_step("note_tokens", error.code, tenant_id=tenant_id)


def delete_unconfirmed_tokens(secret: FlowSecret, ports: RevokeServices) -> None:
    """Delete the tokens of a consent that waits for confirmation, if any."""
    if secret.consent and secret.consent.account:
        delete_consent_tokens(secret.consent.account.tenant_id, secret.consent, ports)


def delete_flow_secrets(flow_id: str, ports: ConsentServices) -> None:
    """Remove the secrets of a superseded consent, so no callback can use it.

    If storage is not available, the secrets stay until the flow is deleted. That does no harm, because the
    settings no longer name this consent, and so its callback is refused.
    """
    try:
        secret = ports.flows.secret(flow_id)
        if secret and ports.flows.consume_secret(secret):
            delete_unconfirmed_tokens(secret, ports)
    except ProblemError as error:
        log_failed_step("forget_flow", error.code)
