"""A local Tenant Settings page, served from its own origin.

The page is plain HTML, CSS and JavaScript modules in `site/`; what differs from one start to the next is in
`/config.js`. `control_url` is the origin of the fake Microsoft 365 whose control API signs the admin's token,
as Microsoft's sign-in does for the real frontend, and whose `/` is the inbox.
"""

import json
from pathlib import Path

from aiohttp import web

from tests.local_stack.microsoft365.contoso import ADA, CLIENT_ID, MALLORY, UMA
from tests.local_stack.microsoft365.tokens import API_SCOPE

SITE = Path(__file__).parent / "site"
PAGES = {"/": "home.html", "/settings": "settings.html"}
#: Who can be chosen as the person in front of the page.
ACCOUNTS = (
    {"address": ADA, "name": "Ada Lovelace", "about": "workspace admin"},
    {"address": UMA, "name": "Uma Undecided", "about": "not an admin"},
    {"address": MALLORY, "name": "Mallory Malone", "about": "another organisation"},
)


def frontend_app(api_url: str, control_url: str) -> web.Application:
    """Build the site; both addresses are origins."""
    scope = f"api://{CLIENT_ID}/{API_SCOPE}"
    config = {"apiUrl": api_url, "apiScope": scope, "controlUrl": control_url, "accounts": ACCOUNTS}
    script = f"export const config = Object.freeze({json.dumps(config, indent=2)});\n"
    headers = _headers(api_url, control_url)

    def page(name: str) -> web.Response | web.FileResponse:
        return web.FileResponse(SITE / name, headers=headers)

    async def respond(request: web.Request) -> web.StreamResponse:
        if request.path == "/config.js":
            return web.Response(text=script, content_type="text/javascript", headers=headers)
        name = PAGES.get(request.path, request.path.removeprefix("/"))
        if name not in {file.name for file in SITE.iterdir()}:
            raise web.HTTPNotFound
        return page(name)

    app = web.Application()
    app.router.add_get("/{path:.*}", respond)
    return app


def _headers(api_url: str, control_url: str) -> dict[str, str]:
    """Return headers that allow only the page's files and two origins."""
    policy = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src {api_url} {control_url}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
