"""Bind a consent to one browser with a cookie. Pure.

On Azure every cookie of a Python function app gets a `Domain`: the name under which the app was called,
unless the cookie has one. Behind a front door that is not the name in the browser, which would drop the
cookie; so the app names the host of its public address. Browsers drop a `__Host-` cookie with a `Domain`;
`__Secure-` allows it. Another host under the same custom domain can set a cookie of this name, so the
cookie alone cannot complete a consent of another account than the requester's (`other_account`).
https://github.com/Azure/azure-functions-python-worker/issues/1902
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from shared.consent.flow import FLOW_RETENTION, matches_hash
from shared.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME: Final = "__Secure-consent"
#: Microsoft's callback is a cross-site POST, which carries only SameSite=None cookies.
_ATTRIBUTES: Final = "Secure; HttpOnly; SameSite=None"
_ENDED: Final = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"


def cookie_header(value: str, base_url: str) -> str:
    """Write the `Set-Cookie` header that binds a browser to a flow.

    `base_url` is the app's.

    The cookie lives as long as the flow is stored, so a person who takes too long, or whose clock differs
    from the host's, reads that the consent expired and not that another browser started it.
    """
    return f"{NAME}={value}; {_scope(base_url)}; {_ATTRIBUTES}; Max-Age={int(FLOW_RETENTION.total_seconds())}"


def expired_cookie_header(base_url: str) -> str:
    """Write the `Set-Cookie` header that removes the cookie."""
    return f"{NAME}=; {_scope(base_url)}; {_ATTRIBUTES}; {_ENDED}"


def _scope(base_url: str) -> str:
    address = urlsplit(base_url)
    path = f"Path={address.path}/api/consent"
    host = address.hostname or ""
    # Browsers differ about `Domain=localhost`.
    return f"Domain={host}; {path}" if "." in host else path


def check_cookie(values: Sequence[str], stored_hash: str | None) -> None:
    """Check that a request comes from the browser that a flow is bound to.

    Args:
        values: every cookie of this name that the request carries.
        stored_hash: the hash of the expected value.

    Raises:
        InvalidInputError: `consent_cookie_missing`, `consent_cookie_ambiguous`, `consent_wrong_browser`.
    """
    if not values:
        raise InvalidInputError("consent_cookie_missing")
    if len(values) > 1:
        raise InvalidInputError("consent_cookie_ambiguous")
    if not matches_hash(values[0], stored_hash):
        raise InvalidInputError("consent_wrong_browser")
