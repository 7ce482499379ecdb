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


_APP_SCOPES = (MAIL_SEND, MAIL_READ_WRITE, MAIL_SEND_SHARED, MAIL_READ_WRITE_SHARED)


def scopes_for(requested: RequestedSender, *, shared: bool = False) -> tuple[str, ...]:
    """Return the minimal scopes for a way of sending.

    `shared` says that the From address is not the signed-in account's own.
    """
    scopes = [MAIL_SEND]
    if requested.large_file_attachments:
        scopes.append(MAIL_READ_WRITE)
    if shared:
        scopes.append(MAIL_SEND_SHARED)
    if shared and requested.large_file_attachments:
        scopes.append(MAIL_READ_WRITE_SHARED)
    return tuple(scopes)


def granted_scopes(scope: str) -> frozenset[str]:
    """Parse the `scope` of a token response into Graph's short names."""
    short = (part.rpartition("/")[2] for part in scope.split())
    return frozenset(short) - {"openid", "profile", "email", "offline_access"}


def mail_scopes(granted: Iterable[str]) -> tuple[str, ...]:
    """Return those granted scopes that this app may request.

    A row of an earlier version also has other scopes that were granted.
    """
    ours = {scope.casefold() for scope in _APP_SCOPES}
    return tuple(sorted(scope for scope in granted if scope.casefold() in ours))


def requested_and_granted(requested: Iterable[str], granted: Iterable[str]) -> frozenset[str]:
    """Return the scopes both requested and granted, spelled as requested.

    Microsoft's response also names scopes that were granted for other reasons. The app must not request
    those: once one of them was revoked, Microsoft would refuse the whole request, and sending would stop.
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
    """Return the minimal scopes for the configured way of sending."""
    if settings.sender is None:
        return ()
    return scopes_for(settings.sender, shared=settings.delegated_mailbox)


def scopes_in_use(settings: TenantSettings) -> frozenset[str]:
    """Return the scopes that sending uses: both needed and granted."""
    granted = settings.consent.scopes if settings.consent else frozenset[str]()
    return requested_and_granted(needed_scopes(settings), granted)


def exchange_decides(consent: Consent) -> bool:
    """Return whether Exchange alone decides what the app itself may do.

    That is so if the app sends with its own permission, and its tokens name no permission.
    """
    return consent.account is None and consent.granted == frozenset()


def permissions_unreadable(consent: Consent) -> bool:
    """Return whether the app itself sends, and no token could be read yet."""
    return consent.account is None and consent.granted is None


def known_granted_scopes(consent: Consent) -> frozenset[str]:
    """Return the scopes that a token named; empty if none could be read."""
    if consent.granted is not None:
        return consent.granted
    # Rows of earlier versions have the granted scopes of an account, but only the requested scopes if the app
    # itself sends.
    return consent.scopes if consent.account else frozenset()


def surplus_scopes(settings: TenantSettings) -> tuple[str, ...]:
    """Return the scopes that Microsoft granted beyond the requested ones.

    The `.Shared` scopes also count as requested if the From address is not the address of the admin who
    started the consent. Then the consent page showed them, even if the owner of the From address signed in.
    """
    sender, consent = settings.sender, settings.consent
    if sender is None or consent is None:
        return ()
    own = consent.account is None or same_address(sender.from_address, consent.started_by)
    requested = scopes_for(sender, shared=settings.delegated_mailbox or not own)
    return missing_scopes(sorted(known_granted_scopes(consent)), requested)
