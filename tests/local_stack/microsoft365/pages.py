"""The pages that a person sees at sign-in. Pure: values in, HTML out."""

from collections.abc import Iterable
from html import escape

from .directory import User
from .visit import Response, Visit

STYLE = """
:root { color-scheme: light; --ink: #1b1b1f; --soft: #5c5f66; --line: #d9dce3; --blue: #0b5cad;
  --ground: #eef1f6; }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", sans-serif; }
.mark { background: #ffe08a; border-bottom: 1px solid #d8b64a; padding: .4rem 1rem; text-align: center;
  font-size: .875rem; }
main { max-width: 30rem; margin: 2.5rem auto; padding: 2rem; background: #fff; border: 1px solid var(--line);
  border-radius: .5rem; box-shadow: 0 2px 10px #1b1b1f14; }
h1 { font-size: 1.4rem; line-height: 1.25; margin: 0 0 .75rem; }
p { margin: .5rem 0; } .soft { color: var(--soft); font-size: .9rem; overflow-wrap: anywhere; }
ul { list-style: none; margin: 1rem 0; padding: 0; }
li { border-top: 1px solid var(--line); padding: .6rem 0; }
li:last-child { border-bottom: 1px solid var(--line); }
code { font-size: .85rem; color: var(--soft); }
button, .button { font: inherit; padding: .5rem 1.25rem; border: 1px solid var(--soft); border-radius: .25rem;
  background: #fff; color: var(--ink); cursor: pointer; }
button.main { background: var(--blue); border-color: var(--blue); color: #fff; }
button.account { display: block; width: 100%; text-align: left; border-color: var(--line);
  padding: .7rem 1rem; }
button.account + button.account { margin-top: .5rem; }
button.hinted { border-color: var(--blue); box-shadow: inset 3px 0 var(--blue); }
button:hover { filter: brightness(.96); }
:focus-visible { outline: 3px solid #79b8ff; outline-offset: 2px; }
input[type=text], textarea { font: inherit; width: 100%; padding: .5rem; border: 1px solid var(--soft);
  border-radius: .25rem; }
label { display: block; margin: 1rem 0 .25rem; }
.row { display: flex; gap: .75rem; justify-content: flex-end; margin-top: 1.25rem; flex-wrap: wrap; }
"""


def document(title: str, body: str, style: str = "") -> str:
    """Return a complete page, marked as part of the emulator."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head><body>"
        '<div class="mark" role="note">Local Microsoft 365 (not the real one)</div>'
        f"<main>{body}</main></body></html>"
    )


def account_page(visit: Visit, people: Iterable[User], action: str) -> str:
    """Return the sign-in page with the hinted account first and filled in."""
    hint = visit.login_hint.lower()
    ordered = sorted(people, key=lambda user: user.signs_in_as.lower() != hint)
    tiles = "".join(
        f'<button class="account{" hinted" if user.signs_in_as.lower() == hint else ""}" name="account" '
        f'value="{escape(user.signs_in_as)}">{escape(user.display_name)}<br>'
        f'<span class="soft">{escape(user.signs_in_as)}</span></button>'
        for user in ordered
    )
    return document(
        "Pick an account",
        f"<h1>Pick an account</h1><p>to continue to <strong>{escape(visit.app.name)}</strong></p>"
        f"{_form('pick', visit, action)}{tiles}</form>"
        f'{_form("other", visit, action)}<label for="account">Use another account</label>'
        f'<input type="text" id="account" name="account" value="{escape(visit.login_hint)}" '
        f'autocomplete="username" spellcheck="false"><div class="row"><button>Next</button></div></form>',
    )


def consent_page(visit: Visit, user: User, permissions: Iterable[tuple[str, str]], action: str) -> str:
    """Return the consent page with Accept and Cancel."""
    whole = visit.purpose == "adminconsent"
    items = "".join(
        f"<li>{escape(sentence)}<br><code>{escape(name)}</code></li>" for name, sentence in permissions
    )
    everybody = (
        '<label><input type="checkbox" name="everybody" value="yes"> '
        "Consent on behalf of your organisation</label>"
        if user.is_admin and not whole
        else ""
    )
    title = "Permissions requested: review for your organisation" if whole else "Permissions requested"
    return document(
        title,
        f'<p class="soft">{escape(user.signs_in_as)}</p><h1>{title}</h1>'
        f"<p><strong>{escape(visit.app.name)}</strong> would like to:</p><ul>{items}"
        "</ul>"
        f'{_form("consent", visit, action)}{everybody}<div class="row">'
        '<button name="decision" value="cancel">Cancel</button>'
        '<button class="main" name="decision" value="accept">Accept</button></div></form>',
    )


def approval_page(visit: Visit, user: User, action: str, *, can_return: bool) -> str:
    """Return the page for admin approval, with or without a return link."""
    back = (
        '<button name="decision" value="return">Return to the application without granting consent</button>'
    )
    return document(
        "Need admin approval",
        f'<p class="soft">{escape(user.signs_in_as)}</p><h1>Need admin approval</h1>'
        f"<p><strong>{escape(visit.app.name)}</strong> needs permission to access resources "
        "in your organisation that only an admin can grant. "
        "Please ask an admin to grant permission to this app.</p>"
        f'{_form("approval", visit, action)}<label for="why">'
        "Enter justification for requesting this app</label>"
        '<textarea id="why" name="why" rows="3"></textarea>'
        f'<div class="row">{back if can_return else ""}'
        '<button class="main" name="decision" value="request">Request approval</button></div></form>',
    )


def requested_page() -> str:
    """Return the page after a request; the app gets no callback."""
    return document(
        "Request sent", "<h1>Request sent</h1><p>Your admin will review it. You can close this window.</p>"
    )


def error_page(message: str, correlation: str, stamp: str) -> str:
    """Show a refusal without a redirect to the app."""
    return document(
        "Sorry, but we're having trouble signing you in",
        f"<h1>Sorry, but we're having trouble signing you in.</h1><p>{escape(message)}</p>"
        f'<p class="soft">Correlation ID: {escape(correlation)}<br>Timestamp: {escape(stamp)}</p>',
    )


def posting_page(reply: Response) -> str:
    """Carry a response to the app as a form that posts itself across sites."""
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in reply.fields.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Working…</title></head>'
        f'<body><form method="post" name="hiddenform" action="{escape(reply.redirect_uri)}">{fields}'
        "<noscript><p>Script is disabled. Click Submit to continue.</p><button>Submit</button>"
        "</noscript></form>"
        "<script>window.setTimeout(function () { document.forms[0].submit(); }, 0);</script></body></html>"
    )


def _form(name: str, visit: Visit, action: str) -> str:
    return (
        f'<form method="post" id="{name}" action="{escape(action)}">'
        f'<input type="hidden" name="visit" value="{escape(visit.visit_id)}">'
    )
