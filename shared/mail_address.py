"""Check and compare mail addresses of senders and recipients. Pure."""

from __future__ import annotations

import functools
import re
import string

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from shared.characters import ADDRESS_CLASS, END, check_address_characters

#: The maximum length of local part, `@` and domain (RFC 5321 section 4.5.3.1). The parser's time grows with
#: the square of the length, so the length is checked first.
MAX_ADDRESS_CHARS = 320
#: The part of the check that JSON Schema can express: one `@`, and no character that is refused.
ADDRESS_PATTERN = f"^[^@{ADDRESS_CLASS}]+@[^@{ADDRESS_CLASS}]+{END}"
_NOT_AN_ADDRESS = "this is not a full mail address"
#: Common mistakes. The first one that applies is in the error.
_MISTAKES = (
    (re.compile(r"^\s|\s$"), "it begins or ends with a space"),
    (re.compile(r"[<>]"), "give the display name as a member of its own"),
    (re.compile(r"[,;]"), "it is a list; give each address on its own"),
    (re.compile(r"@.*@"), "it has more than one @"),
    (re.compile(r"\s"), "it has a space inside"),
)
#: `local` is reserved for local networks (RFC 6762), but is also the domain of many an Active Directory to
#: which Exchange delivers. The library is configured by a change of this list.
SPECIAL_USE_DOMAIN_NAMES[:] = [name for name in SPECIAL_USE_DOMAIN_NAMES if name != "local"]
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@functools.lru_cache(maxsize=4096)
def check_mail_address(text: str) -> str:
    """Return the address as it will be sent, its domain in lower case.

    The ASCII form of an international domain (`xn--…`) is sent unchanged. Valid addresses are cached, because
    reports go to the same people repeatedly. Only the syntax is checked (RFC 5321, RFC 6531), because only
    Exchange knows whether a mailbox exists.

    Raises:
        ValueError: the text is no full address, or has a form to which Exchange Online does not send.
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
    """Return the error text, with the mistake if it is a common one."""
    for wrong, explanation in _MISTAKES:
        if wrong.search(text):
            return f"{_NOT_AN_ADDRESS}: {explanation}"
    return _NOT_AN_ADDRESS


@functools.lru_cache(maxsize=4096)
def address_key(text: str) -> str:
    """Return a key that is equal for all spellings of one address.

    Exchange ignores upper and lower case, and a domain has a Unicode and an ASCII form (RFC 5891). Letters
    outside ASCII in the local part are not changed, because case folding would make `straße@` and `strasse@`
    the same address.
    """
    if len(text) > MAX_ADDRESS_CHARS:
        return _lower(text)
    try:
        found = validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        return _lower(text)
    return _lower(f"{found.local_part}@{found.ascii_domain}")


def address_forms(address: str) -> frozenset[str]:
    """Return a checked address with its domain in Unicode and in ASCII."""
    found = validate_email(address, check_deliverability=False)
    return frozenset(
        {address, *(f"{found.local_part}@{each}" for each in (found.domain, found.ascii_domain))}
    )


def _lower(text: str) -> str:
    return text.translate(_ASCII_LOWER)
