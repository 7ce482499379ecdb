"""Build the page to confirm a consent that another person requested.

The page shows the requester and the From address, which no page of Microsoft's shows. Only the browser that
has just posted Microsoft's callback gets it. It has no script, and its form posts only to this app.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from shared.api.pages.layout import page_response, paragraphs
from shared.consent.other_account import CONTINUE, REFUSE
from shared.settings.tenant import MAIL_READ_WRITE, MAIL_READ_WRITE_SHARED, MAIL_SEND, MAIL_SEND_SHARED

if TYPE_CHECKING:
    from shared.api.request import Response
    from shared.consent.other_account import Confirmation

_PURPOSE = "Another person requested this consent. Nothing is sent until you press Continue."
_PERMISSIONS = {
    MAIL_SEND: "send mail as you",
    MAIL_SEND_SHARED: "send mail from mailboxes and groups that let you send as them",
    MAIL_READ_WRITE: "read, create, change and delete mail in your mailbox; needed for large files",
    MAIL_READ_WRITE_SHARED: "the same in mailboxes that are shared with you",
}


def other_account_page(shown: Confirmation, base_url: str, nonce: str) -> Response:
    """Build the page; `nonce` is a new value for each response."""
    action = f"{base_url}/api/consent/{shown.flow_id}/decision"
    facts = {
        "Requested by": shown.requester,
        "You signed in as": shown.account,
        "From address": shown.from_address,
    }
    items = "".join(f"<dt>{name}</dt><dd><bdi>{escape(value)}</bdi></dd>" for name, value in facts.items())
    permissions = "".join(f"<li>{_permission(scope)}</li>" for scope in sorted(shown.scopes))
    warning = (
        f"If you did not expect this, press Refuse. Decide before {shown.expires_at:%H:%M} UTC; "
        "after that nothing is changed."
    )
    content = f"""{paragraphs([_PURPOSE])}
<dl>{items}<dt>Permissions of your account that Inforiver gets</dt><dd><ul>{permissions}</ul></dd></dl>
{paragraphs([warning])}
<form method="post" action="{escape(action)}">
<input type="hidden" name="token" value="{escape(shown.token)}">
<button name="decision" value="{CONTINUE}">Continue</button>
<button class="other" name="decision" value="{REFUSE}">Refuse</button>
</form>"""
    return page_response("Let Inforiver send with your account?", content, nonce, form_action="'self'")


def _permission(scope: str) -> str:
    meaning = _PERMISSIONS.get(scope)
    return f"{escape(scope)}: {meaning}" if meaning else escape(scope)
