"""What an admin can do with the settings of their tenant."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import quote

from shared.consent.departure import start_consent
from shared.consent.disposal import dispose
from shared.contract import parse
from shared.deliveries.delivery import DeliveryStatus
from shared.errors import PreconditionFailedError
from shared.settings.contract import EnableBody, SettingsView, StartedConsentView, view
from shared.settings.state import check_enable, reset
from shared.telemetry import Event, log_event
from shared.web.exchange import empty_reply, json_reply

if TYPE_CHECKING:
    from shared.consent.departure import StartedConsent
    from shared.consent.dependencies import Consenting
    from shared.settings.tenant import TenantSettings
    from shared.web.caller import Caller
    from shared.web.exchange import Reply, Request

_WAITING = (DeliveryStatus.WAITING_FOR_CONSENT, DeliveryStatus.WAITING_FOR_OPERATOR)


def read(_request: Request, caller: Caller, ports: Consenting) -> Reply:
    """Show the settings."""
    settings = ports.settings.load(caller.tenant_id)
    # A page on another origin is shown no other header (https://fetch.spec.whatwg.org/#http-cors-protocol).
    headers = {"ETag": etag_of(settings), "Access-Control-Expose-Headers": "ETag"}
    return json_reply(200, _view(settings, ports), **headers)


def enable(request: Request, caller: Caller, ports: Consenting) -> Reply:
    """Start the consent for a From address."""
    wanted = parse(EnableBody, request.body, "invalid_request").wanted()
    settings = _settings(request, caller, ports)
    check_enable(settings)
    started = start_consent(settings, wanted, caller, ports)
    return json_reply(202, _started(started, ports.config.public_base_url))


def reset_settings(request: Request, caller: Caller, ports: Consenting) -> Reply:
    """Remove settings and tokens, and end a consent under way."""
    settings = _settings(request, caller, ports)
    ports.settings.save(reset(settings))
    dispose(settings.consent, ports.vault)
    log_event(Event.SETTINGS_RESET, tenant_id=caller.tenant_id)
    return empty_reply(204)


def etag_of(settings: TenantSettings) -> str:
    """Return a strong validator (RFC 9110 section 8.8.3); a table's own ETag is a weak one."""
    return f'"{hashlib.sha256((settings.etag or "").encode()).hexdigest()[:32]}"'


def _settings(request: Request, caller: Caller, ports: Consenting) -> TenantSettings:
    settings = ports.settings.load(caller.tenant_id)
    expected = request.headers.get("if-match", "*")
    if expected != "*" and etag_of(settings) not in [tag.strip() for tag in expected.split(",")]:
        raise PreconditionFailedError("settings_changed")
    return settings


def _view(settings: TenantSettings, ports: Consenting) -> SettingsView:
    waiting = ports.deliveries.count(settings.tenant_id, _WAITING)
    return view(settings, waiting, ports.world.now())


def _started(started: StartedConsent, base: str) -> StartedConsentView:
    flow = f"{base}/api/consent/{started.flow_id}"
    return StartedConsentView(
        flow_id=started.flow_id,
        start_url=f"{flow}/start?ticket={quote(started.ticket)}",
        status_url=flow,
        expires_at=started.expires_at,
    )
