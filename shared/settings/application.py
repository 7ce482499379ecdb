"""Check from which addresses the app may send by itself. Pure.

Once an admin of the tenant has consented, an app-only token is valid for every mailbox that Microsoft lets
the app use, and a redirect with `admin_consent=True` can be forged in a browser. So neither shows from which
mailbox a workspace admin may send: only the operator's list does (`APPLICATION_SENDERS`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shared.errors import ConflictError
from shared.mail_address import address_key
from shared.settings.tenant import ActiveProblem, Authorization, Status

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from shared.settings.tenant import RequestedSender, TenantSettings

#: Tokens and consents do not resolve it; only the list does.
SENDER_NOT_ALLOWED = "application_sender_not_allowed"


def is_listed(address: str, senders: Iterable[str]) -> bool:
    """Say whether the list has this address, ignoring case and domain form."""
    return address_key(address) in map(address_key, senders)


def check_listed(wanted: RequestedSender, senders: Iterable[str]) -> None:
    """Refuse an address for the app's own permission that is not listed.

    Raises:
        ConflictError: `application_sender_not_allowed`.
    """
    if wanted.authorization is Authorization.APPLICATION and not is_listed(wanted.from_address, senders):
        raise ConflictError(SENDER_NOT_ALLOWED, address=wanted.from_address)


def under_list(settings: TenantSettings, senders: Iterable[str], now: datetime) -> TenantSettings:
    """Return the settings after applying the list.

    An enabled sender that is not listed becomes an operator error, and works again once it is listed. A lost
    consent, and an operator error of another kind, stay.
    """
    sender, consent, problem = settings.sender, settings.consent, settings.problem
    if settings.status is Status.OTHER_VERSION:
        return settings
    if sender is None or consent is None or consent.account is not None:
        return settings
    listed = is_listed(sender.from_address, senders)
    if listed and problem and problem.code == SENDER_NOT_ALLOWED:
        return replace(settings, status=Status.ENABLED, problem=None)
    if listed or settings.status not in (Status.ENABLED, Status.SENDER_REFUSED):
        return settings
    found = ActiveProblem(SENDER_NOT_ALLOWED, now, {"address": sender.from_address})
    return replace(settings, status=Status.OPERATOR_ERROR, problem=found)
