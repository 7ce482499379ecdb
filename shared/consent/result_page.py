"""The page at the end of a consent: what happened, in our words, and nothing that came from outside.

The browser is told to run this page's own script and load nothing (Content-Security-Policy). The
script only hints on a BroadcastChannel, for a page of the same origin; the settings page polls.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from shared.consent.flow import FlowStatus
from shared.web.exchange import Reply

if TYPE_CHECKING:
    from shared.problems import Problem

_TITLES = {
    FlowStatus.PENDING: ("Almost done", "Microsoft has answered; the settings are being saved."),
    FlowStatus.COMPLETED: ("Consent complete", "Inforiver can now send mail. You can close this window."),
    FlowStatus.DECLINED: ("Consent declined", ""),
    FlowStatus.FAILED: ("Consent not completed", ""),
    FlowStatus.EXPIRED: ("Consent expired", "Start the consent again from the Tenant Settings page."),
}

_STYLE = """
:root { color-scheme: light dark; font-family: "Segoe UI", system-ui, sans-serif; }
body { display: grid; min-height: 90vh; place-content: center; margin: 0; padding: 1rem; }
main { max-width: 30rem; padding: 2rem; border: 1px solid #8886; border-radius: .75rem; }
h1 { margin: 0 0 .75rem; font-size: 1.4rem; font-weight: 600; }
p { margin: 0 0 1rem; line-height: 1.5; }
small { color: #777; }
button { padding: .5rem 1.25rem; border: 0; border-radius: .375rem; font: inherit; }
button { background: #0f6cbd; color: #fff; }
"""

_SCRIPT = """
const news = JSON.parse(document.getElementById("news").textContent);
new BroadcastChannel("inforiver-mail-consent").postMessage(news);
document.getElementById("close").addEventListener("click", () => window.close());
"""


def result_page(status: FlowStatus, problem: Problem | None, flow_id: str, nonce: str) -> Reply:
    """Build the page; `nonce` is fresh for each answer."""
    title, sentence = _TITLES[status]
    lines = [sentence] if problem is None else [problem.sentence]
    code = f"<p><small>{escape(problem.code)}</small></p>" if problem else ""
    news = json.dumps({"flowId": flow_id, "outcome": status.value}).replace("<", "\\u003c")
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(title)}</title>
<style nonce="{nonce}">{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
{"".join(f"<p>{escape(line)}</p>" for line in lines)}
{code}
<button type="button" id="close">Close this window</button>
</main>
<script type="application/json" id="news" nonce="{nonce}">{news}</script>
<script nonce="{nonce}">{_SCRIPT}</script>
</body>
</html>
"""
    return Reply(200, page.encode(), _headers(nonce))


def _headers(nonce: str) -> dict[str, str]:
    """Return what the OWASP HTTP Headers sheet asks for, as strict as this page allows."""
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
