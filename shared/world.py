"""Time, chance and identifiers: the only sources of what can't be computed.

A journey takes a World, so a test can say what time it is and which values come next.
"""

from __future__ import annotations

import random
import secrets
import uuid
from datetime import UTC, datetime
from typing import Protocol


class World(Protocol):
    """What the app can't compute."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""

    def secret(self) -> str:
        """Return an unguessable value of 256 bits, fit for a URL or a cookie."""

    def identifier(self) -> str:
        """Return a fresh identifier that need not be secret."""

    def jitter(self) -> float:
        """Return a number from 0 to 1."""


class RealWorld:
    """The clock of this machine and the randomness of its operating system."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return datetime.now(UTC)

    def secret(self) -> str:
        """Return an unguessable value of 256 bits, fit for a URL or a cookie."""
        return secrets.token_urlsafe(32)

    def identifier(self) -> str:
        """Return a fresh identifier that need not be secret."""
        return str(uuid.uuid4())

    def jitter(self) -> float:
        """Return a number from 0 to 1."""
        return random.random()  # noqa: S311 - spreads retries, protects nothing
