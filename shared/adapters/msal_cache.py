"""Read MSAL's token cache: its client, and the part to store. Pure."""

from __future__ import annotations

import json
from typing import Any

#: Access tokens are not stored because they are valid for an hour only, ID tokens because nothing needs them
#: any more.
_STORED_PARTS = ("Account", "RefreshToken", "AppMetadata")


def tokens_to_store(tokens: str) -> str:
    """Return the part of a cache that is stored."""
    whole = json.loads(tokens)
    return json.dumps({part: whole[part] for part in _STORED_PARTS if part in whole})


def client_of(tokens: str) -> str | None:
    """Return the client to which the refresh tokens were issued.

    Returns None if there is none, or more than one.
    """
    clients = {str(entry.get("client_id", "")).lower() for entry in _entries(tokens, "RefreshToken")}
    if len(clients) != 1:
        return None
    return clients.pop() or None


def _entries(tokens: str, part: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(tokens).get(part, {})
    except (ValueError, AttributeError, RecursionError):
        return []
    if not isinstance(found, dict):
        return []
    return [entry for entry in found.values() if isinstance(entry, dict)]
