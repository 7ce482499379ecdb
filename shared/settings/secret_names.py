"""Name the secrets that hold tokens. Pure.

Each consent of a tenant has one secret, and no name is used twice.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = re.compile(r"smtp-(?P<tenant>.+)-[0-9]+")


def name_secret(tenant_id: str, version: int) -> str:
    """Name the secret of a tenant's consent."""
    return f"smtp-{tenant_id}-{version}"


def tenant_of(name: str) -> str | None:
    """Return the tenant in the name of a secret; None for other names."""
    found = _NAME.fullmatch(name)
    return found["tenant"] if found else None


def names_of(tenant_id: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of one tenant's secrets."""
    return tuple(name for name in names if tenant_of(name) == tenant_id)
