"""Paths and queries as ASP.NET reads and writes them. Pure."""

import re
from urllib.parse import quote

ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
#: What a path may show unescaped (RFC 3986, `pchar` and the slash), beside letters and digits.
PATH_CHARACTERS = "/-._~!$&'()*+,;=:@"


def unescape(text: str, *, keep: str = "") -> str:
    """Decode percent-encoded UTF-8; invalid bytes and `keep` stay encoded."""
    return ESCAPES.sub(lambda found: _decode(found[0], keep), text)


def normal_path(target: str) -> str:
    """Decode a path and resolve `.` and `..`; an encoded slash stays."""
    path = unescape(target, keep="/")
    kept: list[str] = []
    segments = path.split("/")[1:]
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        if segment == ".." and kept:
            kept.pop()
        if segment not in (".", ".."):
            kept.append(segment)
        elif last:
            kept.append("")
    return "/" + "/".join(kept)


def path_to_uri(path: str) -> str:
    """Encode a decoded path again, except percent-encoded parts."""
    pieces = re.split("(%[0-9A-Fa-f]{2})", path)
    return "".join(
        piece if number % 2 else quote(piece, PATH_CHARACTERS) for number, piece in enumerate(pieces)
    )


def parse_query(text: str) -> dict[str, str]:
    """Parse a query as the host: case-insensitive names, joined values.

    The last spelling of a name is kept; empty values are dropped.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for pair in text.split("&"):
        if not pair:
            continue
        name, _, value = (unescape(part.replace("+", " ")) for part in pair.partition("="))
        _, values = found.get(name.casefold(), ("", []))
        found[name.casefold()] = (name, [*values, value])
    joined = {name: ",".join(values) for name, values in found.values()}
    return {name: value for name, value in joined.items() if value}


def _decode(escapes: str, keep: str) -> str:
    characters = bytes.fromhex(escapes.replace("%", "")).decode("utf-8", "surrogateescape")
    text, start = "", 0
    for character in characters:
        size = len(character.encode("utf-8", "surrogateescape"))
        stays = character in keep or "\ud800" <= character <= "\udfff"
        text += escapes[start * 3 : (start + size) * 3] if stays else character
        start += size
    return text
