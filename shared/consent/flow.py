"""A consent in progress, and the checks that bind it to a browser. Pure.

State, PKCE and nonce must be bound to the browser that started (RFC 9700 sections 2.1 and 4.7): otherwise an
attacker could start a consent and have an admin's browser finish it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.forward_compatible import Stored, stored_as
from shared.settings.tenant import Account, ActiveProblem, Consent, TenantSettings

FLOW_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Entra's codes live about as long. Another host than the one that set the expiry may handle the callback, so
#: the time varies by the difference of their clocks. At worst the person has to start again, and a late
#: callback still needs a code that Entra accepts.
TIME_TO_CONSENT = timedelta(minutes=10)
#: The settings page and the consent window query a flow within minutes after it has ended.
FLOWS_KEPT = timedelta(days=1)
#: Longer than a callback is processed, which is two minutes.
TIME_TO_CONFIRM = timedelta(seconds=150)


class FlowStatus(StrEnum):
    """The status of a consent."""

    PENDING = "pending"
    COMPLETED = "completed"
    DECLINED = "declined"
    FAILED = "failed"
    EXPIRED = "expired"


class FlowStage(StrEnum):
    """What a pending consent waits for.

    That is the link, Microsoft's pages, Microsoft's directory, or a person.
    """

    LINK_NOT_OPENED = "link_not_opened"
    AT_MICROSOFT = "at_microsoft"
    CONFIRMING = "confirming"
    OTHER_ACCOUNT = "other_account"


#: The problem of a consent that expired in each stage.
_EXPIRED: Mapping[FlowStage, str] = {
    FlowStage.LINK_NOT_OPENED: "consent_link_expired",
    FlowStage.AT_MICROSOFT: "consent_expired",
    FlowStage.CONFIRMING: "consent_interrupted",
    FlowStage.OTHER_ACCOUNT: "consent_not_continued",
}


@dataclass(frozen=True, slots=True)
class ConsentFlow(Stored):
    """The public data of a consent.

    Attributes:
        admin_email: the address of the admin's account; empty where the caller's token has none.
        force_consent: show Microsoft's consent page even for permissions that were granted before.
        stage: only meaningful while the status is pending.
    """

    flow_id: str
    tenant_id: str
    admin_id: str
    admin_name: str
    expires_at: datetime
    force_consent: bool = field(default=False, metadata=stored_as("ask_again"))
    status: FlowStatus = FlowStatus.PENDING
    problem: ActiveProblem | None = None
    stage: FlowStage = FlowStage.LINK_NOT_OPENED
    admin_email: str = ""

    @property
    def admin(self) -> Account:
        """The account of the admin who started the consent."""
        return Account(self.admin_id, self.tenant_id, self.admin_name, email=self.admin_email)

    def is_started_by(self, account: Account) -> bool:
        """Return whether this account is the admin's who started it."""
        return (account.tenant_id, account.object_id) == (self.tenant_id, self.admin_id)

    def known_owner(self, address: str, settings: TenantSettings) -> Account | None:
        """Return the account whose own address a From address is, if known.

        It is the admin's or the connected one.

        None where no token named the address: it may be a shared mailbox, a group, an alias, or an account
        that never signed in here.
        """
        connected = settings.consent.account if settings.consent else None
        known = [self.admin, *([connected] if connected else [])]
        return next((account for account in known if account.owns(address)), None)

    @property
    def expired_code(self) -> str:
        """The problem of a flow that expires in its present stage."""
        return _EXPIRED[self.stage]

    def status_at(self, now: datetime) -> FlowStatus:
        """Return the status at a time; a closed window never reports back.

        A callback that arrived in time may be processed a little longer.
        """
        longer = TIME_TO_CONFIRM if self.stage is FlowStage.CONFIRMING else timedelta()
        if self.status is FlowStatus.PENDING and now >= self.expires_at + longer:
            return FlowStatus.EXPIRED
        return self.status

    def resolved_with(self, settings: TenantSettings, now: datetime) -> ConsentFlow:
        """Return the flow as the settings show it, even if its row is behind.

        Read the settings before the flow: if a flow ends without a consent, its row is written first.
        """
        if settings.consent and settings.consent.flow_id == self.flow_id:
            return replace(self, status=FlowStatus.COMPLETED, problem=None)
        if self.status is not FlowStatus.PENDING:
            return self
        if settings.pending is None or settings.pending.flow_id != self.flow_id:
            problem = ActiveProblem("consent_superseded", now)
            return replace(self, status=FlowStatus.FAILED, problem=problem)
        if self.status_at(now) is FlowStatus.EXPIRED:
            problem = ActiveProblem(self.expired_code, self.expires_at)
            return replace(self, status=FlowStatus.EXPIRED, problem=problem)
        return self


@dataclass(frozen=True, slots=True)
class FlowSecret(Stored):
    """What proves that a callback belongs to a flow.

    Of values that the browser has, it holds only hashes.

    Attributes:
        ticket_hash: of the ticket in the start link; None once the link was opened.
        state_hash: of Microsoft's `state`; None before the link was opened.
        cookie_hash: of the browser's cookie; None before the link was opened.
        auth_flow: PKCE verifier and nonce; never the state.
        consent: what an account other than the admin's granted and has not confirmed yet.
        code_hash: of the code that this consent was redeemed with.
        form_hash: of the token in the form that completes or refuses it.
        expires_at: when the secrets are deleted.
    """

    flow_id: str
    ticket_hash: str | None = None
    state_hash: str | None = None
    cookie_hash: str | None = None
    auth_flow: Mapping[str, Any] = field(default_factory=dict, repr=False, metadata=stored_as("proof"))
    consent: Consent | None = None
    code_hash: str | None = None
    form_hash: str | None = None
    expires_at: datetime | None = None
    etag: str | None = None


def hash_of(secret: str) -> str:
    """Hash a random token for storage."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str | None, stored_hash: str | None) -> bool:
    """Compare a value with a stored hash in constant time.

    Without a value or hash nothing matches.
    """
    if not secret or not stored_hash:
        return False
    return hmac.compare_digest(hash_of(secret), stored_hash)


def flow_of_state(state: str) -> str:
    """Return the flow that a `state` names; `matches` must still prove it."""
    return state.partition(".")[0]
