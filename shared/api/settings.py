"""Read, enable, save and reset the settings of an admin's tenant."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from shared.api.backlog_view import BacklogView
from shared.api.request import empty_response, json_response
from shared.api.settings_models import EnableBody, SaveBody, SavedView, SettingsView, StartedConsentView
from shared.api.settings_page_state import view
from shared.consent.revoke import delete_consent_tokens, delete_flow_secrets
from shared.consent.services import ConsentServices
from shared.consent.start import start_consent
from shared.deliveries.status import WAITING
from shared.errors import PreconditionFailedError
from shared.schema import parse
from shared.sending.rate_limit.forecast import ForecastServices, forecast_backlog
from shared.settings.sender import check_listed, with_sender_list
from shared.settings.state import check_enable, check_save, end_consent, is_unchanged, reset
from shared.settings.tenant import Authorization
from shared.settings.update import update_settings
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.api.request import Request, Response
    from shared.caller import Caller
    from shared.consent.start import StartedConsent
    from shared.deliveries.ports import DeliveryLog
    from shared.settings.tenant import RequestedSender, TenantSettings


class SettingsPorts(ConsentServices, ForecastServices, Protocol):
    """The ports of these operations."""

    @property
    def deliveries(self) -> DeliveryLog:
        """The delivery log, to count waiting mails."""


def read(_request: Request, caller: Caller, ports: SettingsPorts) -> Response:
    """Show the settings."""
    settings = ports.settings.load(caller.tenant_id)
    return json_response(200, _view(settings, ports), ETag=etag_of(settings))


def enable(request: Request, caller: Caller, ports: SettingsPorts) -> Response:
    """Start the consent for a From address.

    Raises:
        InvalidInputError: `invalid_request`, `invalid_from_email_address`.
        PreconditionFailedError: `settings_changed`.
        ConflictError: what `check_enable` and `check_listed` raise.
    """
    body = parse(EnableBody, request.body, "invalid_request")
    requested = body.requested_sender()

    def decide(settings: TenantSettings) -> RequestedSender:
        _check_precondition(request, settings)
        check_enable(_with_sender_list(settings, ports), requested)
        check_listed(requested, ports.config.application_senders)
        return requested

    settings = ports.settings.load(caller.tenant_id)
    decide(settings)
    return _started(
        start_consent(caller, settings, requested, decide, ports, force_consent=body.ask_again), ports
    )


def save(request: Request, caller: Caller, ports: SettingsPorts) -> Response:
    """Start the consent for another From address or for large files.

    The settings do not change until the consent is complete. If the body has the current settings, no consent
    is needed, and a consent in progress is ended, because it would change them.

    Raises:
        InvalidInputError: `invalid_request`, `invalid_from_email_address`.
        PreconditionFailedError: `settings_changed`.
        ConflictError: what `check_save` and `check_listed` raise.
    """
    body = parse(SaveBody, request.body, "invalid_request")

    def decide(settings: TenantSettings) -> RequestedSender:
        _check_precondition(request, settings)
        requested = body.requested_sender(
            settings.sender.authorization if settings.sender else Authorization.DELEGATED
        )
        check_save(settings, requested)
        check_listed(requested, ports.config.application_senders)
        return requested

    settings = ports.settings.load(caller.tenant_id)
    requested = decide(settings)
    if not is_unchanged(settings, requested) or body.ask_again:
        return _started(
            start_consent(caller, settings, requested, decide, ports, force_consent=body.ask_again), ports
        )
    if settings.pending:
        settings = _end(settings.tenant_id, settings.pending.flow_id, ports)
    return json_response(202, SavedView(), ETag=etag_of(settings))


def reset_settings(request: Request, caller: Caller, ports: SettingsPorts) -> Response:
    """Remove settings and tokens, and end a consent in progress.

    Raises:
        PreconditionFailedError: `settings_changed`.
    """
    replaced: list[TenantSettings] = []

    def change(settings: TenantSettings) -> TenantSettings:
        after = reset(settings)
        if after != settings:
            # The ETag is not checked if nothing changes: an earlier request may have reset the settings, and
            # only its response was lost.
            _check_precondition(request, settings)
            replaced.append(settings)
        return after

    update_settings(ports.settings, caller.tenant_id, change)
    for settings in replaced:
        _clear(settings, ports)
    log_event(Event.SETTINGS_RESET, tenant_id=caller.tenant_id)
    return empty_response(204)


def _end(tenant_id: str, flow_id: str, ports: SettingsPorts) -> TenantSettings:
    """End a consent in progress, and return the changed settings."""
    settings = update_settings(ports.settings, tenant_id, lambda now: end_consent(now, flow_id))
    delete_flow_secrets(flow_id, ports)
    return settings


def _clear(settings: TenantSettings, ports: SettingsPorts) -> None:
    """Delete the tokens and the flow's secrets that these settings named."""
    delete_consent_tokens(settings.tenant_id, settings.consent, ports)
    if settings.pending:
        delete_flow_secrets(settings.pending.flow_id, ports)


def etag_of(settings: TenantSettings) -> str:
    """Return a strong ETag, which `If-Match` requires.

    It depends only on what admins decide. A refreshed token or a waiting mail also changes the response, but
    does not conflict with a change by an admin.
    """
    decided = (settings.last_version, settings.sender, settings.pending and settings.pending.flow_id)
    return f'"{hashlib.sha256(repr(decided).encode()).hexdigest()[:32]}"'


def _check_precondition(request: Request, settings: TenantSettings) -> None:
    """Compare the ETags in `If-Match`, if any.

    A weak ETag (`W/"…"`) matches too: a gateway that compresses responses makes it from a strong one.

    Raises:
        PreconditionFailedError: `settings_changed`.
    """
    expected = request.headers.get("if-match", "*")
    tags = [tag.strip().removeprefix("W/") for tag in expected.split(",")]
    if expected != "*" and etag_of(settings) not in tags:
        raise PreconditionFailedError("settings_changed")


def _with_sender_list(settings: TenantSettings, ports: SettingsPorts) -> TenantSettings:
    """Apply the operator's current list, which may not be applied yet."""
    return with_sender_list(settings, ports.config.application_senders, ports.system.now())


def _view(settings: TenantSettings, ports: SettingsPorts) -> SettingsView:
    waiting = ports.deliveries.count(settings.tenant_id, WAITING)
    available = bool(ports.config.application_senders)
    pause, now = ports.switch.current_pause(), ports.system.now()
    shown = _with_sender_list(settings, ports)
    found = forecast_backlog(shown, ports)
    backlog = BacklogView(mails=found.mails, empty_at=found.empty_at) if found else None
    return view(shown, waiting, pause, now, application_available=available, backlog=backlog)


def _started(started: StartedConsent, ports: SettingsPorts) -> Response:
    flow = f"{ports.config.public_base_url}/api/consent/{started.flow_id}"
    shown = StartedConsentView(
        flow_id=started.flow_id,
        start_url=f"{flow}/start#ticket={quote(started.ticket)}",
        status_url=flow,
        expires_at=started.expires_at,
    )
    return json_response(202, shown)
