"""Build the page with the result of a consent.

The page contains no text from the request. Its script notifies other pages of the same origin over a
BroadcastChannel. A settings page on another origin polls the API.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from shared.api.pages.layout import page_response, paragraphs
from shared.consent.flow import FlowStage, FlowStatus

if TYPE_CHECKING:
    from shared.api.request import Response
    from shared.consent.flow import ConsentFlow
    from shared.problems import Problem

#: The texts for the stages of a consent that has not ended.
_STAGES = {
    FlowStage.LINK_NOT_OPENED: "The consent link has not been opened yet.",
    FlowStage.AT_MICROSOFT: "Microsoft's response is being checked.",
    FlowStage.CONFIRMING: "Microsoft is confirming the permissions. This takes up to two minutes.",
    FlowStage.OTHER_ACCOUNT: "The account that signed in has not yet pressed Continue or Refuse.",
}
_TITLES = {
    FlowStatus.PENDING: ("Not finished yet", ""),
    FlowStatus.COMPLETED: ("Consent complete", "Inforiver can now send mail. You can close this window."),
    FlowStatus.DECLINED: ("Consent declined", ""),
    FlowStatus.FAILED: ("Consent not completed", ""),
    FlowStatus.EXPIRED: ("Consent expired", "Start the consent again from the Tenant Settings page."),
}

#: If cookies are blocked for the site, `BroadcastChannel` raises an error in Firefox. A browser lets a script
#: close only a window that a script has opened; for another window, `close` does nothing.
_SCRIPT = """
document.getElementById("close").addEventListener("click", () => {
  window.close();
  setTimeout(() => {
    document.getElementById("still-open").textContent =
      "This browser does not let the page close its window. Close the window or tab yourself.";
  }, 300);
});
const news = JSON.parse(document.getElementById("news").textContent);
try {
  new BroadcastChannel("inforiver-mail-consent").postMessage(news);
} catch {}
if (news.outcome === "pending") setTimeout(() => location.reload(), 3000);
"""


def result_page(flow: ConsentFlow | None, problem: Problem | None, nonce: str) -> Response:
    """Build the page; while the flow is pending it reloads every 3 seconds.

    Args:
        flow: the current state of the consent; None if no flow is known.
        problem: why the consent was not completed.
        nonce: a new value for each response.
    """
    status = flow.status if flow else FlowStatus.FAILED
    flow_id = flow.flow_id if flow else ""
    title, text = _TITLES[status]
    if flow and status is FlowStatus.PENDING:
        text = _STAGES[flow.stage]
    lines = [text] if problem is None else [problem.detail]
    code = f"<p><small>{escape(problem.code)}</small></p>" if problem else ""
    news = json.dumps({"flowId": flow_id, "outcome": status.value}).replace("<", "\\u003c")
    content = f"""{paragraphs(lines)}{code}
<button type="button" id="close">Close this window</button>
<p id="still-open" role="status"></p>
<script type="application/json" id="news" nonce="{nonce}">{news}</script>"""
    return page_response(title, content, nonce, script=_SCRIPT)
