"""Derive the sender of mail from a tenant's settings."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from shared.errors import (
    ConfigurationError,
    ConflictError,
    ConsentRequiredError,
    ProblemError,
    SenderRefusedError,
)
from shared.mail_address import address_key
from shared.settings.scopes import scopes_in_use
from shared.settings.tenant import MAIL_READ_WRITE, ActiveProblem, Authorization, Consent, Status
from shared.settings.update import update_settings
from shared.telemetry import Event, log_event, log_failed_step

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from shared.settings.ports import SettingsStore
    from shared.settings.tenant import RequestedSender, TenantSettings
    from shared.system import System


@dataclass(frozen=True, slots=True)
class Sender:
    """Everything that is needed to send a tenant's mail.

    Attributes:
        address: the From address of the tenant.
        account: the sign-in name, at the time of the consent, of the account whose permission is used.
        from_field: the mail's `from`; None if the mail is sent from the account's own address.
        mailbox: the path of the sending mailbox in Graph: `me`, or `users/` with an id or address.
        has_refusal: whether a refusal of the sender is recorded, which the next accepted mail ends.
    """

    tenant_id: str
    consent: Consent
    address: str
    account: str
    from_field: str | None
    mailbox: str = "me"
    has_refusal: bool = False

    @property
    def mailbox_address(self) -> str:
        """The address of the mailbox that sends the mail and keeps the copy."""
        return self.account_name if self.mailbox == "me" else self.address

    @property
    def account_name(self) -> str:
        """The current name of the account whose permission is used."""
        return self.consent.account.name if self.consent.account else self.account

    @property
    def is_found_by_address(self) -> bool:
        """Whether Graph finds the mailbox only by the From address."""
        return self.mailbox != "me" and self.consent.mailbox_id is None

    @property
    def is_found_by_id(self) -> bool:
        """Whether Graph finds the mailbox by an object id.

        The id no longer exists once its account is deleted.
        """
        return self.mailbox != "me" and self.consent.mailbox_id is not None

    @property
    def may_draft(self) -> bool:
        """Whether drafts and sent mail in the mailbox may be accessed."""
        return MAIL_READ_WRITE.casefold() in {scope.casefold() for scope in self.consent.scopes}


def sender_of(settings: TenantSettings, application_senders: Iterable[str] = ()) -> Sender:
    """Return the sender of a tenant.

    A sender that Microsoft 365 refuses is returned too; `refusal_of` says whether a mail may be tried.

    Raises:
        ConsentRequiredError: there is no consent, or it was lost.
        ConfigurationError: the operator has to act first; `application_sender_not_allowed` if the app is to
            send from the address with its own permission, and the operator's list does not have the address.
    """
    problem = settings.problem
    if settings.status is Status.OTHER_VERSION:
        raise ConfigurationError("written_by_other_version")
    if problem and settings.status is Status.OPERATOR_ERROR:
        raise ConfigurationError.from_record(problem.code, problem.params)
    if problem and settings.status is Status.RECONNECT_NEEDED:
        raise ConsentRequiredError.from_record(problem.code, problem.params)
    if settings.sender is None or settings.consent is None:
        raise ConsentRequiredError("consent_missing")
    address, account, consent = settings.sender.from_address, settings.consent.account, settings.consent
    if consent.granted is None:
        # A row of an earlier version also has scopes that were granted and never requested.
        consent = replace(consent, scopes=scopes_in_use(settings))
    has_refusal = settings.refusal is not None
    if account is None:
        if not is_listed(address, application_senders):
            raise ConfigurationError(SENDER_NOT_ALLOWED, address=address)
        mailbox = f"users/{quote(consent.mailbox_id or address, safe='')}"
        return Sender(settings.tenant_id, consent, address, "the app", None, mailbox, has_refusal)
    from_field = address if settings.delegated_mailbox else None
    return Sender(settings.tenant_id, consent, address, account.username, from_field, has_refusal=has_refusal)


def refusal_of(settings: TenantSettings, message_id: str) -> SenderRefusedError | None:
    """Return why a mail may not be tried now; None if it may.

    While Microsoft 365 refuses the sender, only the probe may be tried.
    """
    problem, refusal = settings.problem, settings.refusal
    if settings.status is not Status.SENDER_REFUSED or problem is None:
        return None
    if refusal is not None and refusal.probe_message_id == message_id:
        return None
    return SenderRefusedError.from_record(problem.code, problem.params)


#: This problem is solved only by a change of the operator's list, not by a token or a consent.
SENDER_NOT_ALLOWED = "application_sender_not_allowed"


def is_listed(address: str, senders: Iterable[str]) -> bool:
    """Return whether the list has this address, ignoring case and domain form."""
    return address_key(address) in map(address_key, senders)


def check_listed(requested: RequestedSender, senders: Iterable[str]) -> None:
    """Refuse an address for the app's own permission that is not listed.

    Raises:
        ConflictError: `application_sender_not_allowed`.
    """
    if requested.authorization is not Authorization.APPLICATION:
        return
    if not is_listed(requested.from_address, senders):
        raise ConflictError(SENDER_NOT_ALLOWED, address=requested.from_address)


def with_sender_list(settings: TenantSettings, senders: Iterable[str], now: datetime) -> TenantSettings:
    """Return the settings after applying the operator's list of senders.

    An enabled sender that is not listed becomes an operator error, and is enabled again once it is listed. A
    lost consent, and an operator error of another kind, are not changed.
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
    not_allowed = ActiveProblem(SENDER_NOT_ALLOWED, now, {"address": sender.from_address})
    return replace(settings, status=Status.OPERATOR_ERROR, problem=not_allowed)


def apply_sender_list(
    settings: TenantSettings, senders: Iterable[str], store: SettingsStore, system: System
) -> TenantSettings:
    """Apply the operator's list of senders, and store the change.

    The returned settings include the change even if it could not be stored. Then the next call stores it.
    """
    now = system.now()
    after = with_sender_list(settings, senders, now)
    if after == settings:
        return settings
    if after.problem:
        log_event(
            Event.OPERATOR_ERROR,
            level=logging.ERROR,
            tenant_id=settings.tenant_id,
            problem=after.problem.code,
        )
    try:
        return update_settings(store, settings.tenant_id, lambda found: with_sender_list(found, senders, now))
    except ProblemError as error:
        log_failed_step("apply_sender_list", error.code, tenant_id=settings.tenant_id)
        return after
