"""Define a consent in progress, and what binds it to a browser. Pure.

State, PKCE and nonce must be bound to the browser that opened the start link (RFC 9700 sections 2.1 and 4.7).
Otherwise an attacker could start a consent, and make the browser of an admin finish it.
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
#: Entra's codes are valid for about as long. Another host than the one that set the expiry may handle the
#: callback, so the time varies by the difference of their clocks. At worst the person has to start again. A
#: callback that is accepted too late does no harm, because it still needs a code that Entra accepts.
TIME_TO_CONSENT = timedelta(minutes=10)
#: How long a flow is stored after it has ended. The settings page and the consent window query it within
#: minutes.
FLOW_RETENTION = timedelta(days=1)
#: How long a callback that arrived in time may still be processed: longer than the two minutes that it can
#: take.
TIME_TO_PROCESS_CALLBACK = timedelta(seconds=150)


class FlowStatus(StrEnum):
    """The status of a consent."""

    PENDING = "pending"
    COMPLETED = "completed"
    DECLINED = "declined"
    FAILED = "failed"
    EXPIRED = "expired"


class FlowStage(StrEnum):
    """What a pending consent waits for.

    Until the link is opened; while the person is on Microsoft's pages; until Microsoft's directory confirms
    the permissions; until a person confirms that another account may be used.
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
        admin_email: the address of the admin's account; empty if the caller's token has none.
        force_consent: Microsoft shows its consent page even for permissions that were granted before.
        stage: what the consent waits for while its status is pending; else where it ended.
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
        """Return whether the account is that of the admin who started."""
        return (account.tenant_id, account.object_id) == (self.tenant_id, self.admin_id)

    def known_owner(self, address: str, settings: TenantSettings) -> Account | None:
        """Return the account to which a From address belongs, if it is known.

        Known are the accounts of the admin who started the consent, and of the current consent. Any other
        address may be a shared mailbox, a group, an alias, or the address of an account that never signed in
        here.
        """
        if self.admin.owns(address):
            return self.admin
        connected = settings.consent.account if settings.consent else None
        if connected and connected.owns(address):
            return connected
        return None

    @property
    def expired_code(self) -> str:
        """The code of the problem if the flow expires in its current stage."""
        return _EXPIRED[self.stage]

    def status_at(self, now: datetime) -> FlowStatus:
        """Return the status at a time: a pending flow expires.

        No callback ever comes if the person closes the window. A callback that came in time may be processed
        a little longer.
        """
        end = self.expires_at
        if self.stage is FlowStage.CONFIRMING:
            end += TIME_TO_PROCESS_CALLBACK
        if self.status is FlowStatus.PENDING and now >= end:
            return FlowStatus.EXPIRED
        return self.status

    def resolved_with(self, settings: TenantSettings, now: datetime) -> ConsentFlow:
        """Return the flow with the status that follows from the settings.

        The settings are right if the two differ. The caller reads the settings before the flow, because the
        row of a flow that ends without a consent is written before the settings.
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
    """The secrets that prove that a callback belongs to a flow.

    Of secrets that the browser has, only hashes are stored.

    Attributes:
        ticket_hash: the hash of the ticket in the start link; None once the link was opened.
        state_hash: the hash of the `state` that Microsoft returns; None before the link was opened.
        cookie_hash: the hash of the browser's cookie; None before the link was opened.
        auth_flow: the PKCE verifier and the nonce; never the state.
        consent: the consent of another account than the admin's, while a person has to confirm it.
        code_hash: the hash of the code that was redeemed for this consent.
        form_hash: the hash of the token in the form by which a person confirms or refuses this consent.
        expires_at: when a consent that nobody confirmed is deleted, with these secrets.
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


def matches_hash(secret: str | None, stored_hash: str | None) -> bool:
    """Return whether a secret has the stored hash; compare in constant time.

    If either is missing, they do not match.
    """
    if not secret or not stored_hash:
        return False
    return hmac.compare_digest(hash_of(secret), stored_hash)


def flow_of_state(state: str) -> str:
    """Return the flow id in a `state`; only its hash proves that it is valid."""
    return state.partition(".")[0]
