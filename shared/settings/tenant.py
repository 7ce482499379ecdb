"""The settings of one tenant, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.problems import Problem, explain

MAIL_SEND = "Mail.Send"
MAIL_READ_WRITE = "Mail.ReadWrite"
MAIL_SEND_SHARED = "Mail.Send.Shared"
MAIL_READ_WRITE_SHARED = "Mail.ReadWrite.Shared"


class Status(StrEnum):
    """Where a tenant stands."""

    NOT_CONFIGURED = "not_configured"
    ENABLED = "enabled"
    RECONNECT_NEEDED = "reconnect_needed"
    OPERATOR_ERROR = "operator_error"


class Authorization(StrEnum):
    """Whose permission sends: a signed-in user's, or the app's own."""

    DELEGATED = "delegated"
    APPLICATION = "application"


@dataclass(frozen=True, slots=True)
class Account:
    """The Microsoft account that consented; `object_id` with `tenant_id` is its identity, never the name."""

    object_id: str
    tenant_id: str
    username: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an admin asks consent for."""

    from_address: str
    large_file_attachments: bool = False
    authorization: Authorization = Authorization.DELEGATED


@dataclass(frozen=True, slots=True)
class PendingConsent:
    """A consent under way; its generation is never used again, whatever becomes of it."""

    flow_id: str
    generation: int
    wanted: Wanted
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StandingProblem:
    """A problem that lasts until somebody acts."""

    code: str
    since: datetime
    facts: Mapping[str, str] = field(default_factory=dict)
    correlation_id: str | None = None

    @property
    def problem(self) -> Problem:
        """The problem in words."""
        return explain(self.code, **self.facts)


@dataclass(frozen=True, slots=True)
class Consent:
    """A completed consent: what was granted, by whom, and where its tokens are kept.

    Attributes:
        started_by: the admin whose flow it was; somebody else may have signed in and consented.
    """

    generation: int
    flow_id: str
    account: Account | None
    scopes: frozenset[str]
    secret_name: str | None
    started_by: str
    consented_by: str
    consented_at: datetime
    refreshed_at: datetime
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """Everything that is known of one tenant.

    Attributes:
        generations: how many generations were handed out so far; grows for ever, also over a Reset.
        recoverable_until: until when deleted tokens can be brought back by whoever may do that in the vault.
        etag: the version that was read; None where nothing is stored yet.
    """

    tenant_id: str
    status: Status = Status.NOT_CONFIGURED
    sender: Wanted | None = None
    consent: Consent | None = None
    generations: int = 0
    pending: PendingConsent | None = None
    problem: StandingProblem | None = None
    recoverable_until: datetime | None = None
    etag: str | None = None

    @property
    def delegated_mailbox(self) -> bool:
        """Whether mail goes out from an address that is not the consenting account's own."""
        if self.sender is None or self.consent is None or self.consent.account is None:
            return False
        return not same_address(self.sender.from_address, self.consent.account.username)


def same_address(one: str, other: str) -> bool:
    """Compare mail addresses as Exchange does, without regard to case."""
    return one.casefold() == other.casefold()
