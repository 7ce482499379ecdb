"""Define the API's caller, and the port that checks access tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Caller:
    """A workspace admin, or an application with an accepted role.

    The settings and mails that the caller sees are those of the tenant in its token.
    """

    tenant_id: str
    object_id: str
    name: str
    email: str = ""


class CallerTokens(Protocol):
    """Validates the access tokens of the API's callers."""

    def verify(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a valid token.

        Raises:
            UnauthenticatedError: it is not valid.
            ForbiddenError: it is valid for a tenant that is not served.
        """
