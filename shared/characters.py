"""Check texts for characters that are not allowed. Pure.

Control characters and line separators can end a header or a log line. Format characters are invisible, or
change how the text around them is displayed: U+202E turns `exe.pdf` into `fdp.exe`. A subject or a name may
contain the format characters that Persian, Hebrew, Arabic, Indic scripts and emoji need. An address may
contain none. The categories are those of the Unicode Character Database:
https://www.unicode.org/reports/tr44/#General_Category_Values.
"""

from __future__ import annotations

import re

#: The categories Cc, Zl and Zp.
_CONTROLS = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
#: The category Cf up to U+FFFF, except `_NEEDED_BY_SCRIPTS`.
_FORMATS = (
    r"\u00ad\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b"
    r"\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
)
_NEEDED_BY_SCRIPTS = r"\u061c\u200c-\u200f"

#: The characters up to U+FFFF that a line of text, or an address, must not contain. The JSON Schemas have
#: them too. They do not have the ones above U+FFFF, because there is no notation for these that works in all
#: validators.
LINE_CLASS = f"{_CONTROLS}{_FORMATS}"
ADDRESS_CLASS = f"{LINE_CLASS}{_NEEDED_BY_SCRIPTS}"

_HIGH_FORMATS = (
    r"\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001"
)
_NOT_IN_LINES = re.compile(f"[{LINE_CLASS}{_HIGH_FORMATS}]")
#: U+E0020 to U+E007F are tags, which emoji of flags such as that of Scotland need, so only addresses must not
#: have them.
_NOT_IN_ADDRESSES = re.compile(f"[{ADDRESS_CLASS}{_HIGH_FORMATS}\\U000e0020-\\U000e007f]")
#: Matches only the end of the text. In .NET and Python, `$` alone also matches before a final line break.
END = r"$(?!\n)"


def check_line(text: str) -> str:
    """Return a text, unless it has more than one line or invisible characters.

    Raises:
        ValueError: it has a control or invisible character; the message names the code point.
    """
    return _checked(text, _NOT_IN_LINES)


def check_address_characters(text: str) -> str:
    """Return a text without control or invisible characters.

    Raises:
        ValueError: it has one; the message names the code point.
    """
    return _checked(text, _NOT_IN_ADDRESSES)


def _checked(text: str, refused: re.Pattern[str]) -> str:
    found = refused.search(text)
    if found:
        raise ValueError(
            f"the character U+{ord(found[0]):04X} is not allowed; it is a control or invisible one"
        )
    return text
