"""Choose the scopes to request, and compare them with granted ones. Pure.

https://learn.microsoft.com/graph/permissions-reference#mail-permissions
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.settings.tenant import (
    MAIL_READ_WRITE,
    MAIL_READ_WRITE_SHARED,
    MAIL_SEND,
    MAIL_SEND_SHARED,
    same_address,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.settings.tenant import Consent, RequestedSender, TenantSettings


_OURS = (MAIL_SEND, MAIL_READ_WRITE, MAIL_SEND_SHARED, MAIL_READ_WRITE_SHARED)


def scopes_for(requested: RequestedSender, *, shared: bool = False) -> tuple[str, ...]:
    """Return the minimal scopes for a way of sending.

    `shared`: the From address is not the signed-in account's own.
    """
    needed = (MAIL_SEND, MAIL_READ_WRITE) if requested.large_file_attachments else (MAIL_SEND,)
    if not shared:
        return needed
    forms = {MAIL_SEND: MAIL_SEND_SHARED, MAIL_READ_WRITE: MAIL_READ_WRITE_SHARED}
    return (*needed, *(forms[scope] for scope in needed))


def granted_scopes(scope: str) -> frozenset[str]:
    """Parse the `scope` of a token response into Graph's short names."""
    short = (part.rpartition("/")[2] for part in scope.split())
    return frozenset(short) - {"openid", "profile", "email", "offline_access"}


def mail_scopes(granted: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes that this app may request.

    A row of an earlier version holds everything that was granted.
    """
    ours = {scope.casefold() for scope in _OURS}
    return tuple(sorted(scope for scope in granted if scope.casefold() in ours))


def requested_and_granted(requested: Iterable[str], granted: Iterable[str]) -> frozenset[str]:
    """Return the scopes both requested and granted, spelled as requested.

    Microsoft also returns scopes that were granted for other reasons. If the app requested those too and they
    were revoked, it would lose the consent to send as well.
    """
    have = {scope.casefold() for scope in granted}
    return frozenset(scope for scope in requested if scope.casefold() in have)


def missing_scopes(requested: Iterable[str], granted: Iterable[str]) -> tuple[str, ...]:
    """Return the requested scopes that were not granted, ignoring case.

    Entra does not guarantee upper or lower case.
    """
    have = {scope.casefold() for scope in granted}
    return tuple(scope for scope in requested if scope.casefold() not in have)


def needed_scopes(settings: TenantSettings) -> tuple[str, ...]:
    """Return the minimal scopes for the configured authorization."""
    return scopes_for(settings.sender, shared=settings.delegated_mailbox) if settings.sender else ()


def scopes_in_use(settings: TenantSettings) -> frozenset[str]:
    """Return the scopes that sending uses: needed and granted ones."""
    granted = settings.consent.scopes if settings.consent else frozenset[str]()
    return requested_and_granted(needed_scopes(settings), granted)


def exchange_decides(consent: Consent) -> bool:
    """Return whether the app itself sends and tokens name no permission."""
    return consent.account is None and consent.granted == frozenset()


def permissions_unreadable(consent: Consent) -> bool:
    """Return whether the app itself sends and no token was readable yet."""
    return consent.account is None and consent.granted is None


def granted_scopes_known(consent: Consent) -> frozenset[str]:
    """Return what the newest readable token names, never an assumption."""
    if consent.granted is not None:
        return consent.granted
    # Rows of earlier versions hold an account's granted scopes, and the app's own requested ones.
    return consent.scopes if consent.account else frozenset()


def surplus_scopes(settings: TenantSettings) -> tuple[str, ...]:
    """Return the scopes that Microsoft granted beyond the requested ones.

    The `.Shared` scopes count as requested where the consent page showed them because the From address was
    not the starting admin's, although its owner signed in.
    """
    sender, consent = settings.sender, settings.consent
    if sender is None or consent is None:
        return ()
    own = consent.account is None or same_address(sender.from_address, consent.started_by)
    requested = scopes_for(sender, shared=settings.delegated_mailbox or not own)
    return missing_scopes(sorted(granted_scopes_known(consent)), requested)
