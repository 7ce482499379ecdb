"""What MSAL's token cache says about whose tokens it holds, read without asking Microsoft. Pure."""

from __future__ import annotations

import json
from typing import Any


def client_of(tokens: str) -> str | None:
    """Return the client id to which the refresh tokens of a cache were issued; None where it does not say."""
    clients = {str(entry.get("client_id", "")).lower() for entry in _entries(tokens, "RefreshToken")}
    return clients.pop() or None if len(clients) == 1 else None


def _entries(tokens: str, part: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(tokens).get(part, {})
    except (ValueError, AttributeError):
        return []
    return [entry for entry in found.values() if isinstance(entry, dict)] if isinstance(found, dict) else []
