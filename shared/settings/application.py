"""The addresses from which the app may send with its own permission. Pure.

Once an admin of the tenant has consented, an app-only token exists for every mailbox that Microsoft lets
the app use, and a redirect with `admin_consent=True` can be made up in a browser. So neither says from
which mailbox a workspace admin may send: the operator's list does (`APPLICATION_SENDERS`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shared.errors import ConflictError
from shared.mail_address import address_key
from shared.settings.tenant import Authorization, StandingProblem, Status

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from shared.settings.tenant import TenantSettings, Wanted

#: No token and no consent disproves it; only the list does.
SENDER_NOT_ALLOWED = "application_sender_not_allowed"


def is_listed(address: str, senders: Iterable[str]) -> bool:
    """Say whether the list names this address, in whatever case or form of its domain."""
    return address_key(address) in map(address_key, senders)


def check_listed(wanted: Wanted, senders: Iterable[str]) -> None:
    """Refuse an address that is to send with the app's own permission and is not on the list.

    Raises:
        ConflictError: `application_sender_not_allowed`.
    """
    if wanted.authorization is Authorization.APPLICATION and not is_listed(wanted.from_address, senders):
        raise ConflictError(SENDER_NOT_ALLOWED, address=wanted.from_address)


def under_list(settings: TenantSettings, senders: Iterable[str], now: datetime) -> TenantSettings:
    """Return the settings as they are under the list.

    An enabled sender that is not listed is the operator's error, and works again once it is listed. A
    consent that was lost, and an operator's error of another kind, stay as they are.
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
    found = StandingProblem(SENDER_NOT_ALLOWED, now, {"address": sender.from_address})
    return replace(settings, status=Status.OPERATOR_ERROR, problem=found)
