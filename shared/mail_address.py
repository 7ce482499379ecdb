"""Mail addresses: one rule for the From address and for recipients. Pure."""

from __future__ import annotations

import functools

from email_validator import EmailNotValidError, validate_email


@functools.lru_cache(maxsize=4096)
def check_mail_address(text: str) -> str:
    """Return the address as it will be sent, its domain in lower case.

    What was found valid is remembered: reports go to the same people again and again.
    Syntax only (RFC 5321, RFC 6531): whether a mailbox answers is Exchange's to say.

    Raises:
        ValueError: it is no full address, or not in a form that Exchange Online sends to.
    """
    try:
        return validate_email(text, check_deliverability=False, strict=True).normalized
    except EmailNotValidError as error:
        raise ValueError("this is not a full mail address") from error
