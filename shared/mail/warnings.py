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
MAX_SUBJECT_STORED = 255


@dataclass(frozen=True, slots=True)
class MailWarning:
    """One warning about a mail.

    Attributes:
        param: the name and the value of the parameter of its text.
        count: a number that is logged, such as the number of missing content ids.
    """

    code: str
    param: tuple[str, str]
    count: int


def find_warnings(request: MailRequest, body: str) -> tuple[MailWarning, ...]:
    """Find what the sender of a mail should correct.

    `body` is the text of the mail, also of a mail whose text is stored in a blob.
    """
    return tuple(_find(request, body))


def _find(request: MailRequest, body: str) -> Iterator[MailWarning]:
    if request.body.content_type == "html":
        missing = missing_content_ids(body, (file.content_id for file in request.attachments))
        if missing:
            yield MailWarning("content_id_missing", ("content_ids", ", ".join(missing)), len(missing))
    # Exchange counts UTF-16 units.
    length = len(request.subject.encode("utf-16-le", "surrogatepass")) // 2
    if length > MAX_SUBJECT_STORED:
        yield MailWarning("subject_over_limit", ("length", str(length)), length)


#: How many missing content ids are stored in the delivery, whose row holds 64 KiB, and how much of each.
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
    """Return the content ids in the HTML that no attachment has.

    If there are many, only the first ten are returned.
    """
    # Most texts refer to no attachment, and need not be parsed to find out.
    if "cid" not in text.lower() and "&#" not in text:
        return ()
    known = set(content_ids)
    # A dictionary, because it keeps the order and has each id once.
    missing = dict.fromkeys(name for name in _referenced_content_ids(text) if name not in known)
    return tuple(_printable(name) for name in islice(missing, _MAX_NAMES))


def _referenced_content_ids(text: str) -> Iterator[str]:
    for url in _embedded_urls(text):
        # Blanks are stripped before, not by the pattern: it would look for the end of the text at each blank.
        match = _CID.match(url.strip())
        if match:
            yield unquote(match[1])


def _embedded_urls(text: str) -> Iterator[str]:
    """Yield every URL with which the HTML embeds something."""
    position = 0
    while match := _MARKUP.search(text, position):
        position = match.end()
        if match[1] is None:
            continue
        attributes, position = _attributes(text, position)
        yield from _urls_in_attributes(attributes)
        element = match[1].lower()
        if element in _TEXT_ELEMENTS:
            end = _TEXT_ELEMENTS[element].search(text, position)
            content = text[position : end.start() if end else len(text)]
            position += len(content)
            if element == "style":
                yield from _urls_in_css(content)


def _attributes(text: str, position: int) -> tuple[dict[str, str], int]:
    """Parse the attributes of a start tag; return where the tag ends.

    If the text ends within the tag, there are none.
    """
    attributes: dict[str, str] = {}
    while match := _ATTRIBUTE.match(text, position):
        position = match.end()
        if match["end"]:
            return attributes, position
        value = match["double"] or match["single"] or match["bare"] or ""
        attributes.setdefault(match["name"].lower(), value)
    return {}, len(text)


def _urls_in_attributes(attributes: dict[str, str]) -> Iterator[str]:
    for name in ("src", "background"):
        if name in attributes:
            yield _unescaped(attributes[name])
    # Each candidate is a URL, which a comma may follow, and then a width or density. That one is yielded too,
    # and does no harm, because it does not begin with `cid:`.
    yield from (part.strip(",") for part in _unescaped(attributes.get("srcset", "")).split())
    yield from _urls_in_css(_unescaped(attributes.get("style", "")))


def _urls_in_css(text: str) -> Iterator[str]:
    for match in _CSS.finditer(text):
        yield match["double"] or match["single"] or match["bare"] or ""


def _unescaped(value: str) -> str:
    try:
        return html.unescape(value)
    except ValueError:
        # A character reference of more than 4300 digits, which Python does not convert to a number.
        return value


def _printable(name: str) -> str:
    """Return a name for a problem text: on one line, and not too long."""
    visible = "".join(sign if sign.isprintable() else "�" for sign in name[:_MAX_NAME_CHARS])
    return visible if len(name) <= _MAX_NAME_CHARS else f"{visible}…"
