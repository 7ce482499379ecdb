"""Decode a queue message: a mail's JSON, plain or in base64. Pure.

The host passes every message on unchanged: a message that the host decodes itself and cannot decode would
never reach the app. Most clients write plain JSON; the app itself and older schedulers write base64.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import json
from typing import Final

from shared.errors import InvalidInputError
from shared.schema import encoding_of, signature_of

_WHITE_SPACE: Final = b" \t\r\n"
_URL_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")
#: Members that identify an envelope. Its name is part of the problem, its content is not.
_ENVELOPES: Final = {
    "an Event Grid event": frozenset({"eventType", "eventTime", "subject", "data"}),
    "a CloudEvents event": frozenset({"specversion", "type", "source"}),
    "a Celery message": frozenset({"body", "content-type", "content-encoding", "properties"}),
}
#: A text without one of these is no envelope, which saves parsing it.
_ENVELOPE_MARKS: Final = (b'"eventTime"', b'"specversion"', b'"content-encoding"')
_JSON_KINDS: Final = ((list, "a list"), (str, "a JSON string"), (object, "JSON, but not an object"))


def decode_message(raw: bytes) -> bytes:
    """Return a queue message's JSON object, in UTF-8 without a BOM.

    The contract checks whether it is valid JSON and a mail.

    Raises:
        InvalidInputError: `unreadable_message`; says what was found, with its size and hash.
    """
    text = _trimmed(raw)
    where = "" if text.startswith(b"{") else " in base64"
    found = _trimmed(_from_base64(text)) if where else text
    if not found.startswith(b"{"):
        raise _unreadable(raw, _describe(text))
    other = _other_object(found)
    if other:
        raise _unreadable(raw, other + where)
    return found


def _unreadable(raw: bytes, found: str) -> InvalidInputError:
    digest = hashlib.sha256(raw).hexdigest()
    return InvalidInputError("unreadable_message", found=found, size=len(raw), sha256=digest)


def _other_object(text: bytes) -> str:
    """Name a kind of object that is no mail; empty if it may be one."""
    other = encoding_of(text)
    if other or not any(mark in text for mark in _ENVELOPE_MARKS):
        return other or ""
    try:
        members = json.loads(text).keys()
    except (ValueError, RecursionError):
        return ""
    return next((name for name, known in _ENVELOPES.items() if known <= members), "")


def _describe(text: bytes) -> str:
    """Name what is no object at all, in base64 or not."""
    if not text:
        return "empty"
    if kind := _kind(text):
        return kind
    if kind := _kind(_trimmed(_from_base64(text))):
        return f"{kind} in base64"
    return "base64 with the alphabet for URLs or without its padding" if _is_loose_base64(text) else "no JSON"


def _kind(text: bytes) -> str:
    if not text:
        return ""
    start = signature_of(text) or ("XML or HTML" if text.startswith(b"<") else "")
    if start:
        return start
    if _from_base64(text).lstrip(_WHITE_SPACE).startswith(b"{"):
        return "base64"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return next(name for kind, name in _JSON_KINDS if isinstance(value, kind))


def _is_loose_base64(text: bytes) -> bool:
    padded = text.translate(_URL_ALPHABET).rstrip(b"=") + b"=" * (-len(text.rstrip(b"=")) % 4)
    return _trimmed(_from_base64(padded)).startswith(b"{")


def _trimmed(text: bytes) -> bytes:
    return text.strip(_WHITE_SPACE).removeprefix(codecs.BOM_UTF8).strip(_WHITE_SPACE)


def _from_base64(text: bytes) -> bytes:
    """Decode strict base64, ignoring only white space; empty if it is none."""
    try:
        return base64.b64decode(text.translate(None, _WHITE_SPACE), validate=True)
    except binascii.Error:
        return b""
