"""Tell what a consent permits and what of it the app uses. Pure.

Entra returns everything that was ever granted to the app, for whatever reason. The app uses only what it
requested. Permissions that Exchange grants (RBAC for Applications) are in no token:

https://learn.microsoft.com/exchange/permissions-exo/application-rbac
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.settings.scopes import missing_scopes, requested_and_granted, scopes_for
from shared.settings.tenant import same_address

if TYPE_CHECKING:
    from shared.settings.tenant import Consent, TenantSettings


def needed_scopes(settings: TenantSettings) -> tuple[str, ...]:
    """Return the minimal scopes for the configured authorization."""
    return scopes_for(settings.sender, shared=settings.delegated_mailbox) if settings.sender else ()


def scopes_in_use(settings: TenantSettings) -> frozenset[str]:
    """Return the scopes that sending uses: needed and granted ones."""
    granted = settings.consent.scopes if settings.consent else frozenset[str]()
    return requested_and_granted(needed_scopes(settings), granted)


def exchange_decides(consent: Consent) -> bool:
    """Say whether the app sends by itself and no token names a permission."""
    return consent.account is None and consent.granted == frozenset()


def permissions_unreadable(consent: Consent) -> bool:
    """Say whether the app sends by itself and no token was readable yet."""
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
    asked = scopes_for(sender, shared=settings.delegated_mailbox or not own)
    return missing_scopes(sorted(granted_scopes_known(consent)), asked)
