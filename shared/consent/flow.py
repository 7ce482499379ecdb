"""A consent under way, as values, and the checks that bind it to one browser. Pure.

State, PKCE and nonce must be bound to the browser that started (RFC 9700 sections 2.1 and 4.7):
otherwise somebody could start a consent and have an admin's browser finish it.
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

from shared.settings.tenant import Account, Consent, StandingProblem, TenantSettings
from shared.stored import Stored

FLOW_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Entra's codes live about as long. The host that takes the answer may be another one than the host that set
#: the end, so the time is longer or shorter by what their clocks differ. That costs a person a second try at
#: most, and a late answer still needs a code that Entra takes.
TIME_TO_CONSENT = timedelta(minutes=10)
#: The settings page and the consent window ask for a flow within minutes of its end.
FLOWS_KEPT = timedelta(days=1)
#: More than an answer is looked into, which is two minutes.
TIME_TO_CONFIRM = timedelta(seconds=150)


class FlowStatus(StrEnum):
    """How a consent stands."""

    PENDING = "pending"
    COMPLETED = "completed"
    DECLINED = "declined"
    FAILED = "failed"
    EXPIRED = "expired"


class FlowStage(StrEnum):
    """What a pending consent waits for: the link, Microsoft's pages, Microsoft's directory, or a person."""

    LINK_NOT_OPENED = "link_not_opened"
    AT_MICROSOFT = "at_microsoft"
    CONFIRMING = "confirming"
    OTHER_ACCOUNT = "other_account"


#: What to say of a consent that expired while it waited.
_EXPIRED: Mapping[FlowStage, str] = {
    FlowStage.LINK_NOT_OPENED: "consent_link_expired",
    FlowStage.AT_MICROSOFT: "consent_expired",
    FlowStage.CONFIRMING: "consent_interrupted",
    FlowStage.OTHER_ACCOUNT: "consent_not_continued",
}


@dataclass(frozen=True, slots=True)
class ConsentFlow(Stored):
    """What anybody concerned may know of a consent.

    Attributes:
        admin_email: the address of the admin's account; empty where the caller's token did not say it.
        ask_again: Microsoft is to show its consent page even for what was consented to before.
        stage: means something while the status is pending.
    """

    flow_id: str
    tenant_id: str
    admin_id: str
    admin_name: str
    expires_at: datetime
    ask_again: bool = False
    status: FlowStatus = FlowStatus.PENDING
    problem: StandingProblem | None = None
    stage: FlowStage = FlowStage.LINK_NOT_OPENED
    admin_email: str = ""

    @property
    def admin(self) -> Account:
        """The account of the admin who started it."""
        return Account(self.admin_id, self.tenant_id, self.admin_name, email=self.admin_email)

    @property
    def expired_code(self) -> str:
        """The problem of a flow that expires in its present stage."""
        return _EXPIRED[self.stage]

    def status_at(self, now: datetime) -> FlowStatus:
        """How the flow stands: nothing ever comes back from a window that was closed.

        An answer that came in time may be looked into a little longer.
        """
        longer = TIME_TO_CONFIRM if self.stage is FlowStage.CONFIRMING else timedelta()
        if self.status is FlowStatus.PENDING and now >= self.expires_at + longer:
            return FlowStatus.EXPIRED
        return self.status

    def under(self, settings: TenantSettings, now: datetime) -> ConsentFlow:
        """Say how the flow stands by the tenant's settings, whatever kept its own row from being written.

        Read the settings before the flow: of a flow that ends without a consent, its row is written first.
        """
        if settings.consent and settings.consent.flow_id == self.flow_id:
            return replace(self, status=FlowStatus.COMPLETED, problem=None)
        if self.status is not FlowStatus.PENDING:
            return self
        if settings.pending is None or settings.pending.flow_id != self.flow_id:
            problem = StandingProblem("consent_superseded", now)
            return replace(self, status=FlowStatus.FAILED, problem=problem)
        if self.status_at(now) is FlowStatus.EXPIRED:
            problem = StandingProblem(self.expired_code, self.expires_at)
            return replace(self, status=FlowStatus.EXPIRED, problem=problem)
        return self


@dataclass(frozen=True, slots=True)
class FlowSecret(Stored):
    """What proves that an answer belongs to a flow; only hashes of what the browser holds.

    Attributes:
        ticket_hash: of the ticket in the start link; None once the link was opened.
        state_hash: of Microsoft's `state`; None before the link was opened.
        cookie_hash: of the browser's cookie; None before the link was opened.
        proof: PKCE verifier and nonce; never the state.
        consent: what another account than the admin's consented to and has not confirmed yet.
        code_hash: of the code that this consent came with.
        form_hash: of the token in the form that completes or refuses it.
        expires_at: when it is given up.
    """

    flow_id: str
    ticket_hash: str | None = None
    state_hash: str | None = None
    cookie_hash: str | None = None
    proof: Mapping[str, Any] = field(default_factory=dict, repr=False)
    consent: Consent | None = None
    code_hash: str | None = None
    form_hash: str | None = None
    expires_at: datetime | None = None
    etag: str | None = None


def hash_of(secret: str) -> str:
    """Hash an unguessable value for keeping."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str | None, kept_hash: str | None) -> bool:
    """Compare a presented value with a kept hash, in constant time; nothing never matches."""
    if not secret or not kept_hash:
        return False
    return hmac.compare_digest(hash_of(secret), kept_hash)


def flow_of_state(state: str) -> str:
    """Return the flow that a `state` names; whether it is that flow's is for `matches` to say."""
    return state.partition(".")[0]
