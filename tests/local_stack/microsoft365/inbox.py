"""The inbox page at `/` of the Graph host with all accepted mails."""

import re
from html import escape
from typing import TYPE_CHECKING

from aiohttp import web

from .accepted_mail import AcceptedMail, file_path
from .mail import Address
from .pages import document

if TYPE_CHECKING:
    from . import Microsoft365

_STYLE = """
main { max-width: 60rem; } article { border-top: 1px solid var(--line); padding: 1rem 0; }
h2 { font-size: 1.1rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
iframe { width: 100%; height: 16rem; border: 1px solid var(--line); border-radius: .25rem; background: #fff; }
summary { cursor: pointer; padding: .25rem 0; } a { color: var(--blue); }
.files li { border: 0; padding: .1rem 0; } .files { margin: 0; }
"""
# Only a change reloads the page, so that nothing jumps while somebody reads.
_SCRIPT = """
const shown = document.querySelector("[data-count]").dataset.count;
setInterval(async () => {
  const response = await fetch("/_control/count");
  if (await response.text() !== shown) location.reload();
}, 2000);
"""


class Inbox:
    """The inbox page and its mails."""

    def __init__(self, system: "Microsoft365") -> None:
        self._system = system

    def add_routes(self, app: web.Application) -> None:
        """Register the page, its counter and the bodies."""
        app.router.add_get("/", self.page)
        app.router.add_get("/_control/count", self.count)
        app.router.add_get("/_control/mails/{number}/body", self.body)

    async def page(self, request: web.Request) -> web.Response:
        """Show all accepted mails, newest first."""
        mails = self._system.mails()
        shown = "".join(_article(mail) for mail in reversed(mails)) or "<p>No mail has been accepted yet.</p>"
        count = f"{len(mails)} mail{'' if len(mails) == 1 else 's'} accepted for delivery"
        text = (
            f'<h1>Accepted mails</h1><p class="soft" aria-live="polite" data-count="{len(mails)}">{count}</p>'
            f"{shown}<script>{_SCRIPT}</script>"
        )
        page = document("Accepted mails", text, _STYLE)
        return web.Response(text=page, content_type="text/html", headers={"Cache-Control": "no-store"})

    async def count(self, request: web.Request) -> web.Response:
        """Return the number of mails as text."""
        return web.Response(text=str(len(self._system.mails())))

    async def body(self, request: web.Request) -> web.Response:
        """Show a mail's body without scripts and network access."""
        for mail in self._system.mails():
            if str(mail.number) == request.match_info["number"]:
                policy = "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'"
                headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}
                kind = "text/html" if mail.body_type == "html" else "text/plain"
                return web.Response(
                    text=_with_images(mail), content_type=kind, charset="utf-8", headers=headers
                )
        raise web.HTTPNotFound


def _with_images(mail: AcceptedMail) -> str:
    places = {a.content_id: n for n, a in enumerate(mail.attachments, start=1) if a.content_id}

    def place(found: re.Match[str]) -> str:
        number = places.get(found[1])
        return file_path(mail, number) if number else found[0]

    return re.sub(r"cid:([^\"'\s>)]+)", place, mail.body)


def _article(mail: AcceptedMail) -> str:
    rows = [("From", _people((mail.from_address,)))]
    if mail.sender != mail.from_address:
        rows.append(("Sent by", _people((mail.sender,))))
    rows.append(("Through", escape(_sender_text(mail))))
    named = (("To", mail.to), ("Cc", mail.cc), ("Bcc", mail.bcc), ("Reply to", mail.reply_to))
    rows += [(label, _people(people)) for label, people in named if people]
    when = f'<time datetime="{mail.at.isoformat()}">{mail.at:%d %b %Y, %H:%M:%S} UTC</time>'
    rows.append(("When", when))
    details = "".join(f"<dt>{label}</dt><dd>{value}</dd>" for label, value in rows)
    subject = escape(mail.subject) or "(no subject)"
    return (
        f'<article id="mail-{mail.number}"><h2>{subject}</h2><dl>{details}</dl>'
        f"{_files(mail)}<details open><summary>Body</summary>"
        f'<iframe sandbox title="Body of mail {mail.number}" loading="lazy" '
        f'src="/_control/mails/{mail.number}/body"></iframe></details></article>'
    )


def _sender_text(mail: AcceptedMail) -> str:
    who = f"{mail.caller} signed in" if mail.caller else "the app by itself"
    return f"{mail.mailbox}, {who}"


def _files(mail: AcceptedMail) -> str:
    items = "".join(
        f'<li><a href="{file_path(mail, n)}">{escape(file.name)}</a> '
        f'<span class="soft">{_size(file.size)}{", inline" if file.inline else ""}</span></li>'
        for n, file in enumerate(mail.attachments, start=1)
    )
    return f'<ul class="files" aria-label="Attachments">{items}</ul>' if items else ""


def _people(people: tuple[Address, ...]) -> str:
    return ", ".join(escape(f"{p.name} <{p.address}>" if p.name else p.address) for p in people)


def _size(size: int) -> str:
    if size < 1024:
        return f"{size} bytes"
    return f"{size / 1024:.0f} KB" if size < 1024 * 1024 else f"{size / 1024 / 1024:.1f} MB"
