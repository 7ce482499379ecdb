"""Response cookies, parsed and rewritten as the host does.

Attributes are lower-case and in a fixed order, the value is percent-encoded, `domain=` and `path=` are always
written. Observed on the open-source host. On Azure the domain was reported to be the app's host name, with
which browsers refuse a `__Host-` cookie: https://github.com/Azure/azure-functions-python-worker/issues/1902.
"""

from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote

from tests.local_stack.host.messages import Message

#: The one host name that gets the observed empty domain; every other one gets Azure's.
OBSERVED_HOST = "localhost"


def set_cookie(cookie: Message, host: str) -> str:
    """Return the `Set-Cookie` header; `host` is the host name without port."""
    parts = [f"{cookie.name}={quote(cookie.value, safe='')}"]
    if cookie.expires:
        expires = datetime.fromtimestamp(cookie.expires.value.seconds, UTC)
        parts.append(f"expires={format_datetime(expires, usegmt=True)}")
    if cookie.max_age:
        parts.append(f"max-age={int(cookie.max_age.value)}")
    domain = cookie.domain.value or ("" if host == OBSERVED_HOST else host)
    parts += [f"domain={domain}", f"path={cookie.path.value}"]
    if cookie.secure and cookie.secure.value:
        parts.append("secure")
    if cookie.same_site:
        parts.append(f"samesite={cookie.same_site.lower()}")
    if cookie.http_only and cookie.http_only.value:
        parts.append("httponly")
    return "; ".join(parts)
