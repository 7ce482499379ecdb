"""Start a consent: the flow, the link, and the redirect to Microsoft."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from shared.consent.completion import save_flow
from shared.consent.flow import (
    TIME_TO_CONSENT,
    ConsentFlow,
    FlowSecret,
    FlowStage,
    FlowStatus,
    hash_of,
    matches_hash,
)
from shared.consent.revoke import delete_flow_secrets
from shared.errors import ConflictError, InvalidInputError, NotFoundError, ProblemError
from shared.settings.scopes import scopes_for
from shared.settings.sender import check_listed
from shared.settings.state import begin_consent, pending_consent
from shared.settings.tenant import Authorization
from shared.settings.update import update_settings
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.caller import Caller
    from shared.consent.ports import AuthorizationRequest, Authorizer
    from shared.consent.services import ConsentServices
    from shared.settings.tenant import RequestedSender, TenantSettings


@dataclass(frozen=True, slots=True)
class StartedConsent:
    """A consent that was started; the ticket in its link is valid once."""

    flow_id: str
    ticket: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpenedLink:
    """Where to redirect the browser, and the cookie that identifies it."""

    address: str
    cookie: str = field(repr=False)


def start_consent(
    caller: Caller,
    settings: TenantSettings,
    requested: RequestedSender,
    decide: Callable[[TenantSettings], RequestedSender],
    ports: ConsentServices,
    *,
    force_consent: bool,
) -> StartedConsent:
    """Store a new flow and record it in the settings.

    `requested` is what to request according to `settings`, which were just read. If the settings have changed
    since, `decide` returns what to request according to the current ones. Errors of `decide` propagate.
    """
    flow_id, ticket = ports.system.new_id(), ports.system.random_token()
    expires_at = ports.system.now() + TIME_TO_CONSENT
    flow = ConsentFlow(
        flow_id,
        caller.tenant_id,
        caller.object_id,
        caller.name,
        expires_at,
        force_consent,
        admin_email=caller.email,
    )
    ports.flows.add(flow, FlowSecret(flow_id, ticket_hash=hash_of(ticket)))
    superseded: set[str] = set()

    def begin(now: TenantSettings) -> TenantSettings:
        if now.pending and now.pending.flow_id == flow_id:
            # This call wrote it, and the response was lost. `decide` would take it for another admin's
            # consent.
            return now
        current = requested if now is settings else decide(now)
        if now.pending:
            superseded.add(now.pending.flow_id)
        return begin_consent(now, current, flow_id, expires_at)

    update_settings(ports.settings, caller.tenant_id, begin, just_read=settings)
    for other in superseded:
        delete_flow_secrets(other, ports)
    log_event(Event.CONSENT_STARTED, tenant_id=caller.tenant_id, flow_id=flow_id)
    return StartedConsent(flow_id, ticket, expires_at)


def open_start_link(flow: ConsentFlow | None, ticket: str, ports: ConsentServices) -> OpenedLink:
    """Open the start link: bind the flow to this browser and redirect it.

    Raises:
        NotFoundError: `consent_not_found`, also for a wrong ticket, so that a caller does not learn whether
            the flow exists.
        InvalidInputError: `consent_link_used`, `consent_link_expired`.
        ConflictError: `consent_superseded`, `application_sender_not_allowed`.
    """
    if flow is None:
        raise NotFoundError("consent_not_found")
    secret = ports.flows.secret(flow.flow_id)
    if secret is None or secret.ticket_hash is None:
        raise _used_link_error(flow, ports)
    if not matches_hash(ticket, secret.ticket_hash):
        raise NotFoundError("consent_not_found")
    if flow.status_at(ports.system.now()) is FlowStatus.EXPIRED:
        raise InvalidInputError(flow.expired_code)
    settings = ports.settings.load(flow.tenant_id)
    pending = pending_consent(settings, flow.flow_id)
    check_listed(pending.requested, ports.config.application_senders)
    cookie, state = ports.system.random_token(), f"{flow.flow_id}.{ports.system.random_token()}"
    sign_in = _sign_in(flow, pending.requested, settings, state, ports.authorizer)
    bound = replace(
        secret,
        ticket_hash=None,
        state_hash=hash_of(state),
        cookie_hash=hash_of(cookie),
        auth_flow=sign_in.auth_flow,
    )
    if not ports.flows.replace_secret(bound):
        raise InvalidInputError("consent_link_used")
    save_flow(replace(flow, stage=FlowStage.AT_MICROSOFT), ports)
    return OpenedLink(sign_in.address, cookie)


def _used_link_error(flow: ConsentFlow, ports: ConsentServices) -> ProblemError:
    """Return why a link without a ticket can't be opened."""
    current = flow.resolved_with(ports.settings.load(flow.tenant_id), ports.system.now())
    if current.problem and current.problem.code == "consent_superseded":
        return ConflictError("consent_superseded")
    return InvalidInputError("consent_link_used")


def _sign_in(
    flow: ConsentFlow,
    requested: RequestedSender,
    settings: TenantSettings,
    state: str,
    authorizer: Authorizer,
) -> AuthorizationRequest:
    """Choose Microsoft's page and the permissions to request.

    It is unknown who will sign in. So the `.Shared` permissions are requested unless the From address is
    known to be a person's own, whose sign-in the callback then requires; the callback compares the granted
    permissions with the account that signed in.
    """
    if requested.authorization is Authorization.APPLICATION:
        return authorizer.begin_admin_consent(flow.tenant_id, state)
    owner = flow.known_owner(requested.from_address, settings)
    scopes = scopes_for(requested, shared=owner is None)
    connected = settings.consent.account if settings.consent else None
    likely = owner or connected or flow.admin
    return authorizer.begin(flow.tenant_id, scopes, state, likely.name, force_consent=flow.force_consent)
