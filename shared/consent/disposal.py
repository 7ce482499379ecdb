"""Delete what no settings name any more: tokens, and the secrets of a consent that was under way."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.errors import ProblemError
from shared.settings.state import note_deleted_tokens
from shared.settings.update import update_settings
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.consent.dependencies import Consenting, Disposing
    from shared.settings.tenant import Consent


def dispose(tenant_id: str, consent: Consent | None, ports: Disposing) -> None:
    """Delete a consent's tokens, and note until when the vault could bring them back.

    Should the vault be away they stay in it, where nothing uses them, until the daily sweep.
    """
    if consent and consent.secret_name:
        delete_tokens(tenant_id, consent.secret_name, ports)


def delete_tokens(tenant_id: str, secret_name: str, ports: Disposing) -> None:
    """Delete tokens by their name."""
    try:
        until = ports.vault.delete(secret_name)
        if until is not None:
            update_settings(ports.settings, tenant_id, lambda now: note_deleted_tokens(now, until))
    except ProblemError as error:
        log_event(Event.TOKENS_LEFT_BEHIND, level=logging.WARNING, problem=error.code, kept_as=secret_name)


def forget_flow(flow_id: str, ports: Consenting) -> None:
    """Take the secrets of a consent that something newer replaced, so that nothing can answer it any more.

    Should storage be away they stay until the flow is forgotten; the settings refuse its answer anyhow.
    """
    try:
        secret = ports.flows.secret(flow_id)
        if secret:
            ports.flows.take_secret(secret)
    except ProblemError as error:
        log_event(Event.REQUEST_FAILED, level=logging.WARNING, path="forget_flow", problem=error.code)
