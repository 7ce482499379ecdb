"""Mail addresses: one rule for the From address and for recipients. Pure."""

from __future__ import annotations

import functools
import re
import string

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from shared.characters import ADDRESS_CLASS, END, check_address_characters

#: Local part, `@` and domain at their longest (RFC 5321 section 4.5.3.1). The parser's time grows with the
#: square of the length, so the length is checked first.
MAX_ADDRESS_CHARS = 320
#: What JSON Schema can say of an address: one `@`, and no character that is refused.
ADDRESS_PATTERN = f"^[^@{ADDRESS_CLASS}]+@[^@{ADDRESS_CLASS}]+{END}"
_NOT_AN_ADDRESS = "this is not a full mail address"
#: The first that fits is named.
_MISTAKES = (
    (re.compile(r"^\s|\s$"), "it begins or ends with a space"),
    (re.compile(r"[<>]"), "give the display name as a member of its own"),
    (re.compile(r"[,;]"), "it is a list; give each address on its own"),
    (re.compile(r"@.*@"), "it has more than one @"),
    (re.compile(r"\s"), "it has a space inside"),
)
#: Reserved for local networks (RFC 6762), and the domain of many an Active Directory whose Exchange
#: delivers to it. Changing the list is how the library is told so.
SPECIAL_USE_DOMAIN_NAMES[:] = [name for name in SPECIAL_USE_DOMAIN_NAMES if name != "local"]
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@functools.lru_cache(maxsize=4096)
def check_mail_address(text: str) -> str:
    """Return the address as it will be sent, its domain in lower case.

    The ASCII form of an international domain (`xn--…`) is sent as it is given.
    What was found valid is remembered: reports go to the same people again and again.
    Syntax only (RFC 5321, RFC 6531): whether a mailbox answers is Exchange's to say.

    Raises:
        ValueError: it is no full address, or not in a form that Exchange Online sends to.
    """
    if len(text) > MAX_ADDRESS_CHARS:
        raise ValueError(_NOT_AN_ADDRESS)
    try:
        check_address_characters(text)
    except ValueError as error:
        raise ValueError(f"{_NOT_AN_ADDRESS}: {error}") from error
    try:
        found = validate_email(text, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        raise ValueError(_explain(text)) from error
    domain = text.rpartition("@")[2]
    return f"{found.local_part}@{_lower(domain) if domain.isascii() else found.domain}"


def _explain(text: str) -> str:
    """Name the mistakes that people make."""
    for wrong, explanation in _MISTAKES:
        if wrong.search(text):
            return f"{_NOT_AN_ADDRESS}: {explanation}"
    return _NOT_AN_ADDRESS


@functools.lru_cache(maxsize=4096)
def address_key(text: str) -> str:
    """Return what all spellings of one mailbox address share, for comparisons.

    Exchange ignores case, and a domain has a Unicode and an ASCII form (RFC 5891). Outside ASCII the local
    part is compared as it is: full case folding would make `straße@` and `strasse@` one address.
    """
    if len(text) > MAX_ADDRESS_CHARS:
        return _lower(text)
    try:
        found = validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        return _lower(text)
    return _lower(f"{found.local_part}@{found.ascii_domain}")


def _lower(text: str) -> str:
    return text.translate(_ASCII_LOWER)
