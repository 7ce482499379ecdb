"""Delete tokens that no settings name any more."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.errors import ProblemError
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.ports import TokenStore
    from shared.settings.tenant import Consent


def dispose(consent: Consent | None, vault: TokenStore) -> None:
    """Delete a consent's tokens; should the vault be away, they stay in it, and nothing uses them."""
    if consent is None or consent.secret_name is None:
        return
    try:
        vault.delete(consent.secret_name)
    except ProblemError as error:
        log_event(
            Event.TOKENS_LEFT_BEHIND, level=logging.WARNING, problem=error.code, kept_as=consent.secret_name
        )
