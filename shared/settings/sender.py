"""Derive the sender from a tenant's settings, or why there is none."""

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
        address: the From address, the only one there is.
        account: whose permission is used, by an id that does not change when it is renamed.
        from_field: the mail's `from`; None where the account's own address sends.
        mailbox: the sending mailbox, as in Graph's path.
        has_refusal: whether a refusal is recorded that the next accepted mail ends.
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
        """The sending mailbox, which keeps the copy: always the account's."""
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
        """Whether the mailbox is named by an object id.

        The id is deleted together with its account.
        """
        return self.mailbox != "me" and self.consent.mailbox_id is not None

    @property
    def may_draft(self) -> bool:
        """Whether drafts and sent mail in the mailbox may be accessed."""
        return MAIL_READ_WRITE.casefold() in {scope.casefold() for scope in self.consent.scopes}


def sender_of(settings: TenantSettings, application_senders: Iterable[str] = ()) -> Sender:
    """Return the sender.

    It includes a refused one, which only `refusal` blocks.

    Raises:
        ConsentRequiredError: there is no consent, or it was lost.
        ConfigurationError: the operator has to act first; `application_sender_not_allowed` where the
            operator's list does not let the app send from the address with its own permission.
    """
    problem = settings.problem
    if settings.status is Status.OTHER_VERSION:
        raise ConfigurationError("written_by_other_version")
    if problem and settings.status is Status.OPERATOR_ERROR:
        raise ConfigurationError.recalled(problem.code, problem.params)
    if problem and settings.status is Status.RECONNECT_NEEDED:
        raise ConsentRequiredError.recalled(problem.code, problem.params)
    if settings.sender is None or settings.consent is None:
        raise ConsentRequiredError("consent_missing")
    address, account, consent = settings.sender.from_address, settings.consent.account, settings.consent
    if consent.granted is None:
        # A row of an earlier version has scopes that were granted and never requested.
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

    It may too if it is the probe.
    """
    problem, refusal = settings.problem, settings.refusal
    if settings.status is not Status.SENDER_REFUSED or problem is None:
        return None
    if refusal is not None and refusal.probe == message_id:
        return None
    return SenderRefusedError.recalled(problem.code, problem.params)


#: Tokens and consents do not resolve it; only the list does.
SENDER_NOT_ALLOWED = "application_sender_not_allowed"


def is_listed(address: str, senders: Iterable[str]) -> bool:
    """Return whether the list has this address, ignoring case and domain form."""
    return address_key(address) in map(address_key, senders)


def check_listed(requested: RequestedSender, senders: Iterable[str]) -> None:
    """Refuse an address for the app's own permission that is not listed.

    Raises:
        ConflictError: `application_sender_not_allowed`.
    """
    if requested.authorization is Authorization.APPLICATION and not is_listed(
        requested.from_address, senders
    ):
        raise ConflictError(SENDER_NOT_ALLOWED, address=requested.from_address)


def with_sender_list(settings: TenantSettings, senders: Iterable[str], now: datetime) -> TenantSettings:
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


def apply_sender_list(
    settings: TenantSettings, senders: Iterable[str], store: SettingsStore, system: System
) -> TenantSettings:
    """Return the settings after applying the list, and store the change.

    If storing fails it is repeated the next time; the returned settings already include the change.
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
