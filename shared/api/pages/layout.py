"""Build the frame of the pages of the consent window. Pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from shared.api.request import Response
from shared.api.response_headers import page_headers

if TYPE_CHECKING:
    from collections.abc import Iterable

_STYLE = """
:root { color-scheme: light dark; font-family: "Segoe UI", system-ui, sans-serif; }
body { display: grid; min-height: 90vh; place-content: center; margin: 0; padding: 1rem; }
body { background: #fff; color: #1b1b1b; }
main { max-width: 30rem; padding: 2rem; border: 1px solid #8886; border-radius: .75rem; }
h1 { margin: 0 0 .75rem; font-size: 1.4rem; font-weight: 600; }
p, dl, ul { margin: 0 0 1rem; line-height: 1.5; overflow-wrap: anywhere; }
button + p { margin: 1rem 0 0; }
button + p:empty { margin: 0; }
dt { font-size: .85rem; color: #6b6b6b; }
dd { margin: 0 0 .5rem; }
ul { padding-left: 1.25rem; }
small { color: #6b6b6b; }
form { display: flex; flex-wrap: wrap; gap: .75rem; margin: 0; }
button { padding: .5rem 1.25rem; border: 1px solid #0f6cbd; border-radius: .375rem; font: inherit; }
button { background: #0f6cbd; color: #fff; }
button.other { background: transparent; color: inherit; border-color: #8889; }
:focus-visible { outline: 3px solid #79b8ff; outline-offset: 2px; }
@media (prefers-color-scheme: dark) {
  body { background: #1b1b1b; color: #f2f2f2; }
  dt, small { color: #a6a6a6; }
}
"""


def paragraphs(lines: Iterable[str]) -> str:
    """Write one paragraph for each line that is not empty."""
    return "".join(f"<p>{escape(line)}</p>" for line in lines if line)


def page_response(
    title: str, content: str, nonce: str, *, status: int = 200, script: str = "", **policy: str
) -> Response:
    """Build a page.

    Args:
        title: the heading.
        content: HTML, in which the caller has escaped all values.
        nonce: a new value for each response.
        status: the status of the response.
        script: JavaScript at the end of the page.
        policy: the arguments of `page_headers`.
    """
    scripts = f'<script nonce="{nonce}">{script}</script>\n' if script else ""
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style nonce="{nonce}">{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
{content}
</main>
{scripts}</body>
</html>
"""
    return Response(status, page.encode(), page_headers(nonce, **policy))
