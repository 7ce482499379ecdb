"""Find problems of a mail that do not prevent sending. Pure."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.mail.message import MailRequest

#: The maximum length of a subject in Exchange's store:
#: https://learn.microsoft.com/exchange/client-developer/web-service-reference/subject
STORED_SUBJECT = 255


@dataclass(frozen=True, slots=True)
class MailWarning:
    """One warning: its code, a parameter for its text, a number to log."""

    code: str
    param: tuple[str, str]
    count: int


def find_warnings(request: MailRequest, body: str) -> tuple[MailWarning, ...]:
    """Find what the sender of a mail should correct.

    `body` is its text, also if it is stored in a blob.
    """
    return tuple(_find(request, body))


def _find(request: MailRequest, body: str) -> Iterator[MailWarning]:
    if request.body.content_type == "html":
        missing = missing_content_ids(body, (file.content_id for file in request.attachments))
        if missing:
            yield MailWarning("content_id_missing", ("content_ids", ", ".join(missing)), len(missing))
    # Exchange counts UTF-16 units.
    length = len(request.subject.encode("utf-16-le", "surrogatepass")) // 2
    if length > STORED_SUBJECT:
        yield MailWarning("subject_over_limit", ("length", str(length)), length)


#: How many are stored in the delivery: a row holds 64 KiB.
_MAX_NAMES = 10
_MAX_NAME_CHARS = 100

_MARKUP = re.compile(r"<!--(?:-?>|.*?(?:--!?>|\Z))|<[!?/][^>]*|<([A-Za-z][^\s/>]*)", re.DOTALL)
_ATTRIBUTE = re.compile(
    r"""[\s/]*(?:(?P<end>>)|(?P<name>[^\s/>][^\s/>=]*)"""
    r"""(?:\s*=\s*(?:"(?P<double>[^"]*)"?|'(?P<single>[^']*)'?|(?P<bare>[^\s>]*)))?)"""
)
#: Elements whose content is always text.
_TEXT_ELEMENTS = {
    name: re.compile(rf"</{name}(?=[\s/>])|\Z", re.IGNORECASE)
    for name in ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
}
_CSS = re.compile(
    r"""/\*.*?(?:\*/|\Z)"""
    r"""|(?<![\w-])url\(\s*(?:"(?P<double>[^"\n]*)|'(?P<single>[^'\n]*)|(?P<bare>[^\s)"'(]*))"""
    r"""|"[^"\\\n]*(?:\\.[^"\\\n]*)*"?|'[^'\\\n]*(?:\\.[^'\\\n]*)*'?""",
    re.IGNORECASE | re.DOTALL,
)
_CID = re.compile(r"cid:(.+)", re.IGNORECASE | re.DOTALL)


def missing_content_ids(text: str, content_ids: Iterable[str | None]) -> tuple[str, ...]:
    """Return the HTML's content ids that no attachment has.

    If there are many, only the first.
    """
    if "cid" not in text.lower() and "&#" not in text:
        return ()
    known = set(content_ids)
    missing = dict.fromkeys(found for found in _referenced(text) if found not in known)
    return tuple(_shown(name) for name in islice(missing, _MAX_NAMES))


def _referenced(text: str) -> Iterator[str]:
    for address in _addresses(text):
        # Stripped before: a pattern that ends with blanks would search for its end at each of them.
        found = _CID.match(address.strip())
        if found:
            yield unquote(found[1])


def _addresses(text: str) -> Iterator[str]:
    """Yield every URL with which the HTML embeds something."""
    place = 0
    while found := _MARKUP.search(text, place):
        place = found.end()
        if found[1] is None:
            continue
        attributes, place = _attributes(text, place)
        yield from _in_attributes(attributes)
        name = found[1].lower()
        if name in _TEXT_ELEMENTS:
            end = _TEXT_ELEMENTS[name].search(text, place)
            inner = text[place : end.start() if end else len(text)]
            place += len(inner)
            yield from _in_css(inner) if name == "style" else ()


def _attributes(text: str, place: int) -> tuple[dict[str, str], int]:
    """Parse a start tag's attributes; none if the text ends within the tag."""
    attributes: dict[str, str] = {}
    while found := _ATTRIBUTE.match(text, place):
        place = found.end()
        if found["end"]:
            return attributes, place
        value = found["double"] or found["single"] or found["bare"] or ""
        attributes.setdefault(found["name"].lower(), value)
    return {}, len(text)


def _in_attributes(attributes: dict[str, str]) -> Iterator[str]:
    for name in ("src", "background"):
        if name in attributes:
            yield _unescaped(attributes[name])
    # A candidate is a URL, then blanks and a width or density; commas may end the URL.
    yield from (part.strip(",") for part in _unescaped(attributes.get("srcset", "")).split())
    yield from _in_css(_unescaped(attributes.get("style", "")))


def _in_css(text: str) -> Iterator[str]:
    for found in _CSS.finditer(text):
        yield found["double"] or found["single"] or found["bare"] or ""


def _unescaped(value: str) -> str:
    try:
        return html.unescape(value)
    except ValueError:
        # A number of more than 4300 digits, which is no character.
        return value


def _shown(name: str) -> str:
    """Return a name for a problem text: on one line, and not too long."""
    visible = "".join(sign if sign.isprintable() else "�" for sign in name[:_MAX_NAME_CHARS])
    return visible if len(name) <= _MAX_NAME_CHARS else f"{visible}…"
