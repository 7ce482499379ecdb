"""Which permissions are asked for, and whether they were granted. Pure.

https://learn.microsoft.com/graph/permissions-reference#mail-permissions
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.settings.tenant import (
    MAIL_READ_WRITE,
    MAIL_READ_WRITE_SHARED,
    MAIL_SEND,
    MAIL_SEND_SHARED,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.settings.tenant import Wanted


_OURS = (MAIL_SEND, MAIL_READ_WRITE, MAIL_SEND_SHARED, MAIL_READ_WRITE_SHARED)


def scopes_for(wanted: Wanted, *, shared: bool = False) -> tuple[str, ...]:
    """Return the least that the wanted way of sending needs.

    `shared`: the From address is not the signed-in account's own.
    """
    needed = (MAIL_SEND, MAIL_READ_WRITE) if wanted.large_file_attachments else (MAIL_SEND,)
    if not shared:
        return needed
    forms = {MAIL_SEND: MAIL_SEND_SHARED, MAIL_READ_WRITE: MAIL_READ_WRITE_SHARED}
    return (*needed, *(forms[scope] for scope in needed))


def granted_scopes(scope: str) -> frozenset[str]:
    """Read the `scope` of a token response: Graph's permissions by their short names."""
    short = (part.rpartition("/")[2] for part in scope.split())
    return frozenset(short) - {"openid", "profile", "email", "offline_access"}


def mail_scopes(granted: Iterable[str]) -> tuple[str, ...]:
    """Return those that this app may ask for; a row of an earlier version holds whatever was granted."""
    ours = {scope.casefold() for scope in _OURS}
    return tuple(sorted(scope for scope in granted if scope.casefold() in ours))


def requested_and_granted(requested: Iterable[str], granted: Iterable[str]) -> frozenset[str]:
    """Return what was both asked for and granted, spelled as it was asked for.

    Microsoft also names what was consented to for other reasons. To ask for that again would lose the
    consent to send together with it, once somebody takes it back.
    """
    have = {scope.casefold() for scope in granted}
    return frozenset(scope for scope in requested if scope.casefold() in have)


def missing_scopes(wanted: Iterable[str], granted: Iterable[str]) -> tuple[str, ...]:
    """Return what was asked for and not granted; Entra does not promise upper or lower case."""
    have = {scope.casefold() for scope in granted}
    return tuple(scope for scope in wanted if scope.casefold() not in have)
