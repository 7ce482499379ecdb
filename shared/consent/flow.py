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

from shared.settings.tenant import StandingProblem, TenantSettings

FLOW_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Entra's codes live about as long.
TIME_TO_CONSENT = timedelta(minutes=10)


class FlowStatus(StrEnum):
    """How a consent stands."""

    PENDING = "pending"
    COMPLETED = "completed"
    DECLINED = "declined"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class ConsentFlow:
    """What anybody concerned may know of a consent.

    Attributes:
        ask_again: Microsoft is to show its consent page even for what was consented to before.
    """

    flow_id: str
    tenant_id: str
    admin_id: str
    admin_name: str
    expires_at: datetime
    ask_again: bool = False
    status: FlowStatus = FlowStatus.PENDING
    problem: StandingProblem | None = None

    def status_at(self, now: datetime) -> FlowStatus:
        """How the flow stands: nothing ever comes back from a window that was closed."""
        if self.status is FlowStatus.PENDING and now >= self.expires_at:
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
            problem = StandingProblem("consent_expired", self.expires_at)
            return replace(self, status=FlowStatus.EXPIRED, problem=problem)
        return self


@dataclass(frozen=True, slots=True)
class FlowSecret:
    """What proves that an answer belongs to a flow; only hashes of what the browser holds.

    Attributes:
        ticket_hash: of the ticket in the start link; None once the link was opened.
        state_hash: of Microsoft's `state`; None before the link was opened.
        cookie_hash: of the browser's cookie; None before the link was opened.
        proof: PKCE verifier and nonce; never the state.
    """

    flow_id: str
    ticket_hash: str | None = None
    state_hash: str | None = None
    cookie_hash: str | None = None
    proof: Mapping[str, Any] = field(default_factory=dict, repr=False)
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
