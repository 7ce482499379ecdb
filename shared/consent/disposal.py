"""Delete tokens that no settings name any more."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.errors import ProblemError
from shared.settings.state import note_deleted_tokens
from shared.settings.update import update_settings
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.consent.dependencies import Disposing
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
