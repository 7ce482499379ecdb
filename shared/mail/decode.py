"""Decode a queue message: a mail's JSON, plain or in base64. Pure.

`messageEncoding` in host.json is `none`, so the host passes every message on unchanged. If the host decoded
base64 itself, a message that it cannot decode would never reach the app. Most clients write plain JSON; the
app itself and older schedulers write base64.
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
#: The members by which another system's message is recognised. The error for it contains the name of its
#: kind, and nothing of its content.
_ENVELOPES: Final = {
    "an Event Grid event": frozenset({"eventType", "eventTime", "subject", "data"}),
    "a CloudEvents event": frozenset({"specversion", "type", "source"}),
    "a Celery message": frozenset({"body", "content-type", "content-encoding", "properties"}),
}
#: Every envelope contains one of these, so a text without any of them need not be parsed to find out.
_ENVELOPE_MARKS: Final = (b'"eventTime"', b'"specversion"', b'"content-encoding"')


def decode_message(raw: bytes) -> bytes:
    """Return a queue message's JSON object, in UTF-8 without a BOM.

    Only its start is checked here. `parse_mail_request` checks later whether it is valid JSON and a mail.

    Raises:
        InvalidInputError: `unreadable_message`, with the kind, size and hash of what the message contains.
    """
    text = _trimmed(raw)
    is_base64 = not text.startswith(b"{")
    document = _trimmed(_from_base64(text)) if is_base64 else text
    if not document.startswith(b"{"):
        raise _unreadable(raw, _describe(text))
    other_kind = _kind_of_other_object(document)
    if other_kind:
        raise _unreadable(raw, f"{other_kind} in base64" if is_base64 else other_kind)
    return document


def _unreadable(raw: bytes, found: str) -> InvalidInputError:
    digest = hashlib.sha256(raw).hexdigest()
    return InvalidInputError("unreadable_message", found=found, size=len(raw), sha256=digest)


def _kind_of_other_object(text: bytes) -> str:
    """Name the kind of an object that is no mail.

    Returns an empty text if the object may be a mail.
    """
    other_encoding = encoding_of(text)
    if other_encoding:
        return other_encoding
    if not any(mark in text for mark in _ENVELOPE_MARKS):
        return ""
    try:
        members = json.loads(text).keys()
    except (ValueError, RecursionError):
        return ""
    for name, members_of_envelope in _ENVELOPES.items():
        if members_of_envelope <= members:
            return name
    return ""


def _describe(text: bytes) -> str:
    """Name the kind of a text that is no JSON object, neither in base64."""
    if not text:
        return "empty"
    if kind := _kind(text):
        return kind
    if kind := _kind(_trimmed(_from_base64(text))):
        return f"{kind} in base64"
    if _is_nonstandard_base64(text):
        return "base64 with the alphabet for URLs or without its padding"
    return "no JSON"


def _kind(text: bytes) -> str:
    """Name the kind of a text by how it begins; empty if it is not known."""
    if not text:
        return ""
    signature = signature_of(text)
    if signature:
        return signature
    if text.startswith(b"<"):
        return "XML or HTML"
    if _from_base64(text).lstrip(_WHITE_SPACE).startswith(b"{"):
        return "base64"
    return _kind_of_json(text)


def _kind_of_json(text: bytes) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "a JSON string"
    return "JSON, but not an object"


def _is_nonstandard_base64(text: bytes) -> bool:
    """Return whether it is an object in base64 for URLs or without padding."""
    unpadded = text.translate(_URL_ALPHABET).rstrip(b"=")
    padded = unpadded + b"=" * (-len(unpadded) % 4)
    return _trimmed(_from_base64(padded)).startswith(b"{")


def _trimmed(text: bytes) -> bytes:
    return text.strip(_WHITE_SPACE).removeprefix(codecs.BOM_UTF8).strip(_WHITE_SPACE)


def _from_base64(text: bytes) -> bytes:
    """Decode base64 strictly, except for white space; empty if it is none."""
    try:
        return base64.b64decode(text.translate(None, _WHITE_SPACE), validate=True)
    except binascii.Error:
        return b""
