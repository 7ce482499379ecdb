"""What sending needs of a tenant's settings: all of it there, or the reason why not. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from shared.errors import ConfigurationError, ConsentRequiredError
from shared.settings.application import SENDER_NOT_ALLOWED, is_listed
from shared.settings.permissions import scopes_in_use
from shared.settings.tenant import MAIL_READ_WRITE, Consent, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.settings.tenant import TenantSettings


@dataclass(frozen=True, slots=True)
class Sender:
    """Everything under which a tenant's mail can be sent.

    Attributes:
        address: the From address, the only one there is.
        account: whose permission sends, by the name that stays the same when the account is renamed.
        from_field: what to write into the mail's `from`; None where the account's own address sends.
        mailbox: whose mailbox sends, as Graph's path has it.
        refusal_noted: whether a refusal is on record that the next accepted mail ends.
    """

    tenant_id: str
    consent: Consent
    address: str
    account: str
    from_field: str | None
    mailbox: str = "me"
    refusal_noted: bool = False

    @property
    def mailbox_address(self) -> str:
        """Whose mailbox sends and keeps the copy: the account's, whatever the From address is."""
        return self.account_name if self.mailbox == "me" else self.address

    @property
    def account_name(self) -> str:
        """Whose permission sends, by the name that the account has now."""
        return self.consent.account.name if self.consent.account else self.account

    @property
    def is_found_by_address(self) -> bool:
        """Whether Graph finds the mailbox only if the From address is its sign-in name."""
        return self.mailbox != "me" and self.consent.mailbox_id is None

    @property
    def is_found_by_id(self) -> bool:
        """Whether the mailbox is named by an object id, which ends with its account."""
        return self.mailbox != "me" and self.consent.mailbox_id is not None

    @property
    def may_draft(self) -> bool:
        """Whether drafts may be written into the mailbox, and sent mail looked up in it."""
        return MAIL_READ_WRITE.casefold() in {scope.casefold() for scope in self.consent.scopes}


def sender_of(settings: TenantSettings, application_senders: Iterable[str] = ()) -> Sender:
    """Return what sending needs; of a refused sender too, which only `refusal` keeps from being tried.

    Raises:
        ConsentRequiredError: nobody consented yet, or the consent was lost.
        ConfigurationError: the operator has to act first; `application_sender_not_allowed` where the
            operator's list does not let the app send from the address with its own permission.
    """
    problem = settings.problem
    if settings.status is Status.OTHER_VERSION:
        raise ConfigurationError("written_by_other_version")
    if problem and settings.status is Status.OPERATOR_ERROR:
        raise ConfigurationError.recalled(problem.code, problem.facts)
    if problem and settings.status is Status.RECONNECT_NEEDED:
        raise ConsentRequiredError.recalled(problem.code, problem.facts)
    if settings.sender is None or settings.consent is None:
        raise ConsentRequiredError("consent_missing")
    address, account = settings.sender.from_address, settings.consent.account
    consent = replace(settings.consent, scopes=scopes_in_use(settings))
    noted = settings.refusal is not None
    if account is None:
        if not is_listed(address, application_senders):
            raise ConfigurationError(SENDER_NOT_ALLOWED, address=address)
        mailbox = f"users/{quote(consent.mailbox_id or address, safe='')}"
        return Sender(settings.tenant_id, consent, address, "the app", None, mailbox, noted)
    from_field = address if settings.delegated_mailbox else None
    return Sender(settings.tenant_id, consent, address, account.username, from_field, refusal_noted=noted)
