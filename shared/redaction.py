"""Remove secrets and mail addresses from text of other origins. Pure.

The app's own texts contain no secrets. This is for texts of libraries, such as those of exceptions. The time
of every pattern is proportional to the length of the text, because each sequence of characters is read once.
"""

from __future__ import annotations

import re

_REDACTED = "[redacted]"

#: A secret, which is recognised by the name before it. The name may be in JSON, in JSON inside JSON, in a
#: form, a URL, a connection string, a header or a Python value. A value in quotes ends with its closing
#: quote. A name after a hyphen, dot or colon does not count, because it is part of something longer, such as
#: the id `sales-by-state:2026`.
_NAMED = re.compile(
    r"(?P<name>(?<![\w.:-])(?=[a-z_])(?:"
    r"(?:access[_-]?|refresh[_-]?|id[_-]?|auth[_-]?)?token|(?:client[_-]?|app[_-]?)?secret"
    r"|(?:client[_-]?)?assertion|(?:device[_-]?|user[_-]?)?code|code[_-]?verifier"
    r"|state|nonce|ticket|password|passwd|pwd|sig|client_info"
    r"|account_?key|shared_?access_?key|shared_?access_?signature|api_?key|x-functions-key|x-identity-header"
    r"|__(?:host|secure)-[\w-]++"
    r")\\{0,7}[\"']?\s*+[=:]\s*+)"
    r"(?:(?P<quote>\\{0,7}[\"'])(?:(?!(?P=quote)).)*|[^\s\"'\\&,}]+)",
    re.IGNORECASE,
)
_HEADERS = re.compile(
    r"(?P<name>(?<![\w-])(?:(?:set-)?cookie[\"']?\s*+[=:]|(?:proxy-)?authorization[\"']?\s*+:)\s*+[\"']?)"
    r"[^\r\n\"']+",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"(?P<name>\b(?:bearer|sharedkey)\s++)\S+", re.IGNORECASE)
_RUN = re.compile(r"[\w.~+=-]{20,}")
#: An apostrophe inside a word can be part of an address. OData doubles it.
_WORD = re.compile(r"[^\s<>\"'(),:;\\]+(?:(?<=\w)'{1,2}(?=\w)[^\s<>\"'(),:;\\]+)*+")
#: An at sign in a URL, or in a URL that is a parameter of another one.
_ENCODED_AT = re.compile("%(?:25)*+40")
_DOMAIN = re.compile(r"[\w.-]*")
#: A text from this length on may be a token, key or ticket. They are all longer, and a GUID is shorter.
_MIN_OPAQUE = 40


def redact(text: str) -> str:
    """Remove credentials, and the part before the domain of each address."""
    text = _SCHEME.sub(rf"\g<name>{_REDACTED}", text)
    text = _HEADERS.sub(rf"\g<name>{_REDACTED}", text)
    text = _NAMED.sub(rf"\g<name>\g<quote>{_REDACTED}", text)
    return _WORD.sub(_without_local_part, _RUN.sub(_without_tokens, text))


def _without_tokens(found: re.Match[str]) -> str:
    """Remove what looks like a token: a JWT, or a long random text."""
    run = found[0]
    start = run.find("eyJ")
    if start >= 0:
        return run[:start] + _REDACTED
    return ".".join(_REDACTED if _is_opaque(part) else part for part in run.split("."))


def _is_opaque(part: str) -> bool:
    """Return whether a text is long and looks random.

    It must have upper-case letters, lower-case letters and digits, so a hexadecimal hash does not count.
    """
    return (
        len(part) >= _MIN_OPAQUE
        and any(map(str.isupper, part))
        and any(map(str.islower, part))
        and any(map(str.isdigit, part))
    )


def _without_local_part(found: re.Match[str]) -> str:
    word = _ENCODED_AT.sub("@", found[0])
    local, _, rest = word.rpartition("@")
    if not local:
        return found[0]
    domain = _DOMAIN.match(rest)
    return f"…@{domain[0] if domain else ''}"
