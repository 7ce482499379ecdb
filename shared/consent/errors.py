"""Define the errors of consents that are handled by their class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import ConsentRequiredError, TransientError

if TYPE_CHECKING:
    from datetime import timedelta


class EntraUnavailableError(TransientError):
    """Entra does not respond, or asks for a pause."""

    def __init__(self, *, retry_after: timedelta | None = None, request_id: str | None = None) -> None:
        super().__init__("entra_unavailable", retry_after=retry_after, request_id=request_id)


class ConsentDeclinedError(ConsentRequiredError):
    """A person declined, at Microsoft or on the app's own page."""


class ConsentExpiredError(ConsentRequiredError):
    """Nobody completed the consent in time."""
