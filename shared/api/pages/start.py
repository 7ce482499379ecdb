"""Build the page of the start link, which posts the ticket.

The ticket is in the fragment of the link, so no URL of a request, no proxy, no log and no `Referer` contains
it. The GET of the page changes nothing, so link scanners and prefetching cannot use up the link. If a browser
renders the page in advance, its script waits until the page becomes visible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.api.pages.layout import page_response, paragraphs

if TYPE_CHECKING:
    from shared.api.request import Response

_SCRIPT = """
const show = (id) => {
  for (const each of document.querySelectorAll("section")) each.hidden = each.id !== id;
};
const keepsCookies = () => {
  const probe = "__Secure-consent-probe";
  const attributes = `; Path=${location.pathname}; Secure; SameSite=None`;
  document.cookie = `${probe}=1${attributes}; Max-Age=60`;
  const stored = document.cookie.includes(probe);
  document.cookie = `${probe}=${attributes}; Max-Age=0`;
  return stored;
};
const fail = (reference) => {
  document.getElementById("reference").textContent = reference ? `Reference for support: ${reference}` : "";
  show("failed");
};
const open = async () => {
  const ticket = new URLSearchParams(location.hash.slice(1)).get("ticket");
  if (!ticket) return show("incomplete");
  // If cookies are blocked, the consent cannot be completed, and the POST would use up the link.
  if (!keepsCookies()) return show("no-cookies");
  show("opening");
  try {
    const body = new URLSearchParams({ ticket });
    const response = await fetch(location.pathname, { method: "POST", body });
    const content = await response.json();
    if (response.ok) location.replace(content.location);
    else fail(content.traceId);
  } catch {
    fail();
  }
};
document.getElementById("retry").addEventListener("click", open);
addEventListener("hashchange", open);
if (document.prerendering) document.addEventListener("prerenderingchange", open, { once: true });
else open();
"""

_INCOMPLETE = """\
This link is incomplete. Start the consent from the Tenant Settings page and use the window or the link that \
it opens."""
_NO_COOKIES = """\
This browser blocks cookies for this site, and the consent needs one. Allow cookies for this site in the \
browser's settings, then reload this page: the link is still valid. Or open the link in another browser."""
_FAILED = """\
The app did not respond, or an error occurred in it. Try again. If the link has been used in the meantime, \
the next page says so."""
_NO_SCRIPT = "This page needs JavaScript. Allow it for this site, then reload the page."


def start_page(nonce: str) -> Response:
    """Build the page; it is the same for every link."""
    content = f"""<section id="opening">
<p role="status">Opening Microsoft's consent screen …</p>
<noscript>{paragraphs([_NO_SCRIPT])}</noscript>
</section>
<section id="incomplete" hidden>{paragraphs([_INCOMPLETE])}</section>
<section id="no-cookies" hidden>
{paragraphs([_NO_COOKIES])}<p><small>consent_cookie_missing</small></p>
</section>
<section id="failed" hidden>
{paragraphs([_FAILED])}<p><small id="reference"></small></p>
<button type="button" id="retry">Try again</button>
</section>"""
    return page_response("Consent to send mail", content, nonce, script=_SCRIPT, connect="'self'")
