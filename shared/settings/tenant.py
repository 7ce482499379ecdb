"""Define a tenant's settings as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from shared.forward_compatible import Stored, stored_as
from shared.mail_address import address_key
from shared.problems import Problem, recall

MAIL_SEND = "Mail.Send"
MAIL_READ_WRITE = "Mail.ReadWrite"
MAIL_SEND_SHARED = "Mail.Send.Shared"
MAIL_READ_WRITE_SHARED = "Mail.ReadWrite.Shared"


class Status(StrEnum):
    """The status of a tenant."""

    NOT_CONFIGURED = "not_configured"
    ENABLED = "enabled"
    RECONNECT_NEEDED = "reconnect_needed"
    OPERATOR_ERROR = "operator_error"
    SENDER_REFUSED = "sender_refused"
    #: Settings that this version cannot read; it does not change them.
    OTHER_VERSION = "other_version"


class Authorization(StrEnum):
    """Whose permission is used: a signed-in user's, or the app's own."""

    DELEGATED = "delegated"
    APPLICATION = "application"


@dataclass(frozen=True, slots=True)
class Account(Stored):
    """The Microsoft account that consented.

    The account is identified by `object_id` with `tenant_id`, never by a name, because names change.

    Attributes:
        username: the sign-in name at the time of the consent.
        renamed_to: the sign-in name in Microsoft's newest token, if it has changed since the consent.
        email: the mail address at the time of the consent; empty if Microsoft's token did not have it. It can
            differ from the sign-in name:
            https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
        newest_email: the mail address in Microsoft's newest token, if it has changed since the consent.
    """

    object_id: str
    tenant_id: str
    username: str
    renamed_to: str | None = None
    email: str = ""
    newest_email: str | None = None

    @property
    def name(self) -> str:
        """The current sign-in name, as people know the account."""
        return self.renamed_to or self.username

    @property
    def current_email(self) -> str:
        """The address in Microsoft's newest token; empty if it is not known."""
        return self.newest_email or self.email

    def owns(self, address: str) -> bool:
        """Return whether an address was the account's own when it consented.

        An alias of the mailbox is not recognised, because tokens do not name it.
        """
        return any(same_address(address, own) for own in (self.username, self.email) if own)

    def with_names(self, username: str, email: str) -> Account:
        """Return the account with the names in Microsoft's newest token.

        An empty name means unknown.
        """
        return replace(
            self,
            renamed_to=_changed(username, self.username, self.renamed_to),
            newest_email=_changed(email, self.email, self.newest_email),
        )


def _changed(newest: str, first: str, known: str | None) -> str | None:
    if not newest:
        return known
    return None if newest == first else newest


@dataclass(frozen=True, slots=True)
class RequestedSender(Stored):
    """The way of sending for which an admin requests a consent."""

    from_address: str
    large_file_attachments: bool = False
    authorization: Authorization = Authorization.DELEGATED


@dataclass(frozen=True, slots=True)
class PendingConsent(Stored):
    """A consent in progress; no other consent ever has its version."""

    flow_id: str
    version: int = field(metadata=stored_as("generation"))
    requested: RequestedSender = field(metadata=stored_as("wanted"))
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ActiveProblem(Stored):
    """A recorded problem, which lasts until somebody acts."""

    code: str
    since: datetime
    params: Mapping[str, str] = field(default_factory=dict, metadata=stored_as("facts"))
    correlation_id: str | None = None

    @property
    def problem(self) -> Problem:
        """The problem with its texts."""
        return recall(self.code, self.params)


@dataclass(frozen=True, slots=True)
class Consent(Stored):
    """A completed consent: what was granted, by whom, where its tokens are.

    Attributes:
        account: the account that consented; None if the app sends with its own permission.
        scopes: the permissions that the app uses, which were both requested and granted. If Exchange alone
            decides what the app may do, no token names a permission, and these are the requested ones.
        secret_name: the secret with the tokens; None if the app sends with its own permission.
        started_by: the admin who started the consent; another person may have signed in and consented.
        consented_by: who signed in; empty if the app sends with its own permission.
        granted: the permissions in Microsoft's newest readable token, also those that were never requested;
            None in rows of earlier versions, and if no token could be read.
        mailbox_id: the object id of the mailbox from which the app itself sends, if a token named its owner.
            None if Graph finds the mailbox only by the From address, or does not know the id any more.
        refused_at: when Microsoft began to refuse tokens, maybe temporarily; None once it issues one again.
    """

    version: int = field(metadata=stored_as("generation"))
    flow_id: str
    account: Account | None
    scopes: frozenset[str]
    secret_name: str | None
    started_by: str
    consented_by: str
    consented_at: datetime
    refreshed_at: datetime
    stored_at: datetime
    granted: frozenset[str] | None = None
    refused_at: datetime | None = None
    mailbox_id: str | None = None


@dataclass(frozen=True, slots=True)
class SenderRefusal(Stored):
    """A refusal of the sender by Microsoft 365.

    The refusal is confirmed if the status of the settings is `sender_refused`.

    Attributes:
        since: when Microsoft 365 first refused the sender.
        message_id: the refused mail.
        probe_message_id: the probe, a mail that may be tried although the sender is refused; None if there is
            none at the moment.
        probed_at: when the latest probe was released, or when the refusal was confirmed.
        probe_count: how many probes there were.
    """

    since: datetime
    message_id: str
    probe_message_id: str | None = field(default=None, metadata=stored_as("probe"))
    probed_at: datetime | None = None
    probe_count: int = field(default=0, metadata=stored_as("probes"))


@dataclass(frozen=True, slots=True)
class TenantSettings(Stored):
    """The settings of one tenant.

    Attributes:
        last_version: the version of the latest consent; never decreases, not even by a Reset.
        undeleted_tokens: the names of tokens that are not used any more and not known to be deleted yet.
        installation: the client id of the app registration to which the settings belong; None in rows of
            older versions, and if nothing is stored yet.
        storage_account: the storage account to which the settings were written, by which a copy of the row in
            another account is recognised; None in the same cases as `installation`.
        recoverable_until: until when an operator of the vault can recover deleted tokens.
        deleted_at: when the app last tried to delete tokens, whether it received a response or not.
        refusal: a refusal of the sender that no accepted mail has ended yet.
        etag: the version of the row that was read; None if nothing is stored yet.
    """

    tenant_id: str
    status: Status = Status.NOT_CONFIGURED
    sender: RequestedSender | None = None
    consent: Consent | None = None
    last_version: int = field(default=0, metadata=stored_as("generations"))
    pending: PendingConsent | None = None
    problem: ActiveProblem | None = None
    undeleted_tokens: tuple[str, ...] = field(default=(), metadata=stored_as("undeleted"))
    recoverable_until: datetime | None = None
    installation: str | None = None
    storage_account: str | None = None
    deleted_at: datetime | None = None
    refusal: SenderRefusal | None = None
    etag: str | None = None

    @property
    def delegated_mailbox(self) -> bool:
        """Whether the From address is not the signed-in account's own."""
        if self.sender is None or self.consent is None or self.consent.account is None:
            return False
        return not self.consent.account.owns(self.sender.from_address)

    @property
    def visible_from_address(self) -> str | None:
        """The address that recipients see as the sender; None if unknown.

        Exchange sends from the primary address of a mailbox, even if another of its addresses was entered.
        """
        account = self.consent.account if self.consent else None
        if account is None or self.delegated_mailbox:
            return None
        return account.current_email or None


def same_address(one: str, other: str) -> bool:
    """Return whether two mail addresses are the same to Exchange.

    Upper and lower case, and the form of an international domain, do not matter.
    """
    return address_key(one) == address_key(other)
