"""The names of the secrets that hold tokens: one for each consent of a tenant, never used twice. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = re.compile(r"smtp-(?P<tenant>.+)-[0-9]+")


def name_secret(tenant_id: str, generation: int) -> str:
    """Name the secret of a tenant's consent."""
    return f"smtp-{tenant_id}-{generation}"


def tenant_of(name: str) -> str | None:
    """Return the tenant whose tokens a secret holds; None where the name is not of this form."""
    found = _NAME.fullmatch(name)
    return found["tenant"] if found else None


def names_of(tenant_id: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of one tenant's secrets."""
    return tuple(name for name in names if tenant_of(name) == tenant_id)
