"""What a tenant's consent permits, and what of it the app uses. Pure.

Entra answers a request with everything that was ever granted to the app, for whatever reason. The app uses
only what it asked for. Permissions that Exchange gives the app (RBAC for Applications) are in no token:
https://learn.microsoft.com/exchange/permissions-exo/application-rbac
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.settings.scopes import missing_scopes, requested_and_granted, scopes_for
from shared.settings.tenant import same_address

if TYPE_CHECKING:
    from shared.settings.tenant import Consent, TenantSettings


def needed_scopes(settings: TenantSettings) -> tuple[str, ...]:
    """Return the least that the configured way of sending needs."""
    return scopes_for(settings.sender, shared=settings.delegated_mailbox) if settings.sender else ()


def scopes_in_use(settings: TenantSettings) -> frozenset[str]:
    """Return the permissions that sending may use: those that it needs and that the consent gave."""
    granted = settings.consent.scopes if settings.consent else frozenset[str]()
    return requested_and_granted(needed_scopes(settings), granted)


def exchange_decides(consent: Consent) -> bool:
    """Say whether the app sends with its own permission and no token names one."""
    return consent.account is None and consent.granted == frozenset()


def permissions_unreadable(consent: Consent) -> bool:
    """Say whether the app sends with its own permission and no token of it could be read so far."""
    return consent.account is None and consent.granted is None


def granted_scopes_known(consent: Consent) -> frozenset[str]:
    """Return what Microsoft's newest readable token names; never what is only assumed."""
    if consent.granted is not None:
        return consent.granted
    # Rows of earlier versions say what was granted to an account, and of the app itself what was asked for.
    return consent.scopes if consent.account else frozenset()


def surplus_scopes(settings: TenantSettings) -> tuple[str, ...]:
    """Return what Microsoft granted beyond what was asked for.

    The `.Shared` forms count as asked for where the consent screen named them because the From address is
    not that of the admin who started, although its owner signed in.
    """
    sender, consent = settings.sender, settings.consent
    if sender is None or consent is None:
        return ()
    own = consent.account is None or same_address(sender.from_address, consent.started_by)
    asked = scopes_for(sender, shared=settings.delegated_mailbox or not own)
    return missing_scopes(sorted(granted_scopes_known(consent)), asked)
