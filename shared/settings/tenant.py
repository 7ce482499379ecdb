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

    `object_id` with `tenant_id` is its identity, never the name.

    Attributes:
        username: its sign-in name when it consented.
        renamed_to: its sign-in name by Microsoft's newest token, where that is another one.
        email: its address when it consented; empty where Microsoft did not name it. It can differ from the
            sign-in name: https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
        newest_email: its address by Microsoft's newest token, where that is another one.
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
    def present_email(self) -> str:
        """The address by Microsoft's newest token; empty where it names none."""
        return self.newest_email or self.email

    def owns(self, address: str) -> bool:
        """Return whether an address was the account's own when it consented.

        An alias can't be recognised.
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
    """What an admin requests consent for."""

    from_address: str
    large_file_attachments: bool = False
    authorization: Authorization = Authorization.DELEGATED


@dataclass(frozen=True, slots=True)
class PendingConsent(Stored):
    """A pending consent; its version is never used again."""

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
        scopes: the permissions that the app uses: requested and granted. Where Exchange alone decides, no
            token names one, and they are those requested.
        started_by: the admin who started it; another person may have signed in and consented.
        consented_by: who signed in; empty where nobody did, because the app's own permission sends.
        granted: what Microsoft's newest readable token names, also if never requested; None in rows
            of earlier versions, and where none could be read.
        mailbox_id: the object id of the mailbox from which the app itself sends, where a token named its
            owner; None: Graph finds it by the From address alone, or does not know the id any more.
        refused_at: when a possibly temporary refusal of tokens began; None once one is issued.
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

    It is confirmed if the settings' status says so.

    Attributes:
        since: when it first happened.
        message_id: the refused mail.
        probe: the mail that may be tried although the sender is refused; None while none is.
        probed_at: when the latest such mail was released, or when the refusal was confirmed.
        probes: how many there were.
    """

    since: datetime
    message_id: str
    probe: str | None = None
    probed_at: datetime | None = None
    probes: int = 0


@dataclass(frozen=True, slots=True)
class TenantSettings(Stored):
    """The settings of one tenant.

    Attributes:
        last_version: the version of the latest consent; never decreases, not even by a Reset.
        undeleted: the names of tokens that are not used any more and not known to be deleted yet.
        installation: the client id of the app registration whose settings they are; None in rows that are
            older than this mark, and in those that were never written.
        storage_account: the account that they were written to, which tells a copy of them; None as above.
        recoverable_until: until when deleted tokens can be recovered by an operator of the vault.
        deleted_at: when the last deletion was tried, whether its response came or not.
        refusal: a refusal of the sender that no accepted mail has ended; the waiting mails take turns.
        etag: the version that was read; None where nothing is stored yet.
    """

    tenant_id: str
    status: Status = Status.NOT_CONFIGURED
    sender: RequestedSender | None = None
    consent: Consent | None = None
    last_version: int = field(default=0, metadata=stored_as("generations"))
    pending: PendingConsent | None = None
    problem: ActiveProblem | None = None
    undeleted: tuple[str, ...] = ()
    recoverable_until: datetime | None = None
    installation: str | None = None
    storage_account: str | None = None
    deleted_at: datetime | None = None
    refusal: SenderRefusal | None = None
    etag: str | None = None

    @property
    def delegated_mailbox(self) -> bool:
        """Whether mail is sent from an address that is not the account's own."""
        if self.sender is None or self.consent is None or self.consent.account is None:
            return False
        return not self.consent.account.owns(self.sender.from_address)

    @property
    def recipients_see(self) -> str | None:
        """The address that recipients see; None where it is unknown.

        Exchange sends from the primary address of a mailbox, whichever of its addresses was entered.
        """
        account = self.consent.account if self.consent else None
        if account is None or self.delegated_mailbox:
            return None
        return account.present_email or None


def same_address(one: str, other: str) -> bool:
    """Compare mail addresses as Exchange does.

    Case and the form of an international domain do not matter.
    """
    return address_key(one) == address_key(other)
