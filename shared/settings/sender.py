"""What sending needs of a tenant's settings: all of it there, or the reason why not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from shared.errors import ConfigurationError, ConsentRequiredError
from shared.settings.tenant import MAIL_READ_WRITE, Consent, Status

if TYPE_CHECKING:
    from shared.settings.tenant import TenantSettings


@dataclass(frozen=True, slots=True)
class Sender:
    """Everything under which a tenant's mail can be sent.

    Attributes:
        address: the From address, the only one there is.
        account: whose permission sends, for a sentence about it.
        from_field: what to write into the mail's `from`; None where the account's own address sends.
        mailbox: whose mailbox sends, as Graph's path has it.
    """

    tenant_id: str
    consent: Consent
    address: str
    account: str
    from_field: str | None
    mailbox: str = "me"

    @property
    def may_draft(self) -> bool:
        """Whether drafts may be written into the mailbox, and sent mail looked up in it."""
        return MAIL_READ_WRITE.casefold() in {scope.casefold() for scope in self.consent.scopes}


def sender_of(settings: TenantSettings) -> Sender:
    """Return what sending needs.

    Raises:
        ConsentRequiredError: nobody consented yet, or the consent was lost.
        ConfigurationError: the operator has to act first.
    """
    problem = settings.problem
    facts: dict[str, Any] = dict(problem.facts) if problem else {}
    if problem and settings.status is Status.OPERATOR_ERROR:
        raise ConfigurationError(problem.code, **facts)
    if problem and settings.status is Status.RECONNECT_NEEDED:
        raise ConsentRequiredError(problem.code, **facts)
    if settings.sender is None or settings.consent is None:
        raise ConsentRequiredError("consent_missing")
    address, account = settings.sender.from_address, settings.consent.account
    if account is None:
        mailbox = f"users/{quote(address, safe='')}"
        return Sender(settings.tenant_id, settings.consent, address, "the app", None, mailbox)
    from_field = address if settings.delegated_mailbox else None
    return Sender(settings.tenant_id, settings.consent, address, account.username, from_field)
