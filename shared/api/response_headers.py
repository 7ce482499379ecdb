"""Set the headers of every response.

The headers are those that the OWASP cheat sheets "HTTP Headers" and "REST Security" recommend. host.json has
the same ones for the host's own responses. The host adds a header only if the function has not set it, so a
page can have its own policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

STANDARD: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def page_headers(nonce: str, *, form_action: str = "'none'", connect: str = "'none'") -> dict[str, str]:
    """Return headers that allow a page only its own script and style.

    Images are allowed as `data:` URLs for the empty icon of the page, without which a browser would request
    `/favicon.ico`.

    Args:
        nonce: a new value for each response, which the script and style elements of the page have too.
        form_action: the URLs to which forms may be posted.
        connect: the URLs that the script may request.
    """
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; "
        f"connect-src {connect}; base-uri 'none'; form-action {form_action}; frame-ancestors 'none'"
    )
    return {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy}
