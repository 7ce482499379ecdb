"""Read MSAL's token cache: whose tokens it has, and which to store. Pure.

Microsoft is not called.
"""

from __future__ import annotations

import json
from typing import Any

#: Access and ID tokens are not stored: the first live an hour, the second were already validated.
_STORED_PARTS = ("Account", "RefreshToken", "AppMetadata")


def tokens_to_store(tokens: str) -> str:
    """Return the part of a cache that is stored."""
    whole = json.loads(tokens)
    return json.dumps({part: whole[part] for part in _STORED_PARTS if part in whole})


def client_of(tokens: str) -> str | None:
    """Return the client id that a cache's refresh tokens belong to, else None."""
    clients = {str(entry.get("client_id", "")).lower() for entry in _entries(tokens, "RefreshToken")}
    return clients.pop() or None if len(clients) == 1 else None


def _entries(tokens: str, part: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(tokens).get(part, {})
    except (ValueError, AttributeError, RecursionError):
        return []
    return [entry for entry in found.values() if isinstance(entry, dict)] if isinstance(found, dict) else []
