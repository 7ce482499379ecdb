"""Parse JSON from outside, and describe bytes that are none. Pure.

A UTF-8 byte order mark is ignored, as editors and .NET write it.
"""

from __future__ import annotations

import codecs
import re
from typing import Any

from pydantic_core import from_json

#: The first bytes of contents other than JSON in UTF-8; longer marks first.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "text in UTF-32"),
    (codecs.BOM_UTF32_BE, "text in UTF-32"),
    (codecs.BOM_UTF16_LE, "text in UTF-16"),
    (codecs.BOM_UTF16_BE, "text in UTF-16"),
    (b"\x1f\x8b", "compressed data (gzip)"),
    (b"PK\x03\x04", "a zip archive"),
)
_AT = re.compile(r" at line (\d+) column (\d+)$")


def read_json(text: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Parse a JSON text.

    Raises:
        ValueError: it is no JSON in UTF-8; the message says what was found.
    """
    plain = text.removeprefix(codecs.BOM_UTF8)
    if not plain.strip():
        raise ValueError("is empty")
    other = encoding_of(plain)
    if other:
        raise ValueError(f"is {other}, not JSON in UTF-8")
    try:
        return from_json(plain)
    except ValueError as error:
        place = _AT.search(str(error))
        where = f" (line {place[1]}, column {place[2]})" if place else ""
        raise ValueError(f"is not valid JSON{where}") from error


def encoding_of(data: bytes) -> str | None:
    """Describe bytes that are not UTF-8 text; None for UTF-8 text."""
    return signature_of(data) or (None if _decodes(data) else "text in another encoding than UTF-8")


def signature_of(data: bytes) -> str | None:
    """Describe the first bytes: a BOM, a compressed file, wide characters."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if b"\0\0\0" in data[:4]:
        return "text in UTF-32"
    return "text in UTF-16" if b"\0" in data[:2] else None


def _decodes(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
