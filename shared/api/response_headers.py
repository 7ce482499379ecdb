"""Set the headers of every response.

host.json has the same set for the host's own responses.

The host adds a header of host.json only where the function set none of that name, so a page can have its own
policy. Sources: the OWASP HTTP Headers and REST Security sheets.
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
    """Return the headers of a page with only its own script and style.

    Its empty icon is a `data:` URL: a browser then requests no `/favicon.ico`, which the policy forbids.

    Args:
        nonce: fresh for each response; the page's script and style elements carry it.
        form_action: the allowed target of its forms.
        connect: what its script may call.
    """
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; "
        f"connect-src {connect}; base-uri 'none'; form-action {form_action}; frame-ancestors 'none'"
    )
    return {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy}
