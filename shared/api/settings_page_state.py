"""Decide what the settings page shows: buttons, problem, permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.api.problem_models import StandingProblemView, active_problem_view, sending_pause_view
from shared.api.settings_models import Actions, PendingConsentView, RemainsView, SettingsView, Toggle
from shared.problems import explain
from shared.settings.scopes import (
    exchange_decides,
    known_granted_scopes,
    requested_and_granted,
    scopes_in_use,
    surplus_scopes,
)
from shared.settings.tenant import (
    ActiveProblem,
    Authorization,
    Consent,
    PendingConsent,
    Status,
    TenantSettings,
)

if TYPE_CHECKING:
    from datetime import datetime

    from shared.api.backlog_view import BacklogView
    from shared.settings.sending_switch import SendingPause


def view(
    settings: TenantSettings,
    waiting_mails: int,
    pause: SendingPause | None,
    now: datetime,
    *,
    application_available: bool,
    backlog: BacklogView | None = None,
) -> SettingsView:
    """Build the response for an admin."""
    sender, consent = settings.sender, settings.consent
    large = bool(sender and sender.large_file_attachments)
    return SettingsView(
        status=settings.status,
        authorization=sender.authorization if sender else Authorization.DELEGATED,
        application_available=application_available,
        from_email_address=sender.from_address if sender else None,
        delegated_mailbox=settings.delegated_mailbox,
        recipients_see=settings.visible_from_address,
        large_file_attachments=Toggle(enabled=large, locked=large),
        permissions=_permissions(settings),
        surplus_permissions=surplus_scopes(settings),
        exchange_decides=bool(consent and exchange_decides(consent)),
        remains_after_reset=_remains(consent) if consent else None,
        consent_started_by=consent.started_by if consent else None,
        consented_by=consent.account.name if consent and consent.account else None,
        consented_at=consent.consented_at if consent else None,
        token_refreshed_at=consent.refreshed_at if consent else None,
        pending_consent=_pending(settings.pending, now),
        tokens_left_behind=bool(settings.undeleted_tokens),
        tokens_recoverable_until=_future(settings.recoverable_until, now),
        waiting_mails=waiting_mails,
        backlog=backlog,
        sending_paused=sending_pause_view(pause),
        actions=actions_of(settings),
        problem=problem_of(settings, now),
    )


def _permissions(settings: TenantSettings) -> tuple[str, ...]:
    granted = known_granted_scopes(settings.consent) if settings.consent else ()
    return tuple(sorted(requested_and_granted(scopes_in_use(settings), granted)))


def _remains(consent: Consent) -> RemainsView:
    """Return the permissions that remain at Microsoft after a Reset.

    The app cannot remove them, because it has no permission to administer itself.
    """
    permissions = tuple(sorted(known_granted_scopes(consent)))
    listed = ", ".join(permissions) or "if it granted any"
    if consent.account:
        problem = explain("user_permissions_remain", account=consent.account.name, permissions=listed)
    elif exchange_decides(consent):
        problem = explain("exchange_permissions_remain")
    else:
        problem = explain("application_permissions_remain", permissions=listed)
    return RemainsView(permissions=permissions, detail=problem.detail, who_acts=problem.who_acts)


def _pending(pending: PendingConsent | None, now: datetime) -> PendingConsentView | None:
    if pending is None or pending.expires_at <= now:
        return None
    return PendingConsentView(
        flow_id=pending.flow_id,
        from_email_address=pending.requested.from_address,
        large_file_attachments=pending.requested.large_file_attachments,
        expires_at=pending.expires_at,
    )


def _future(moment: datetime | None, now: datetime) -> datetime | None:
    return moment if moment and moment > now else None


def actions_of(settings: TenantSettings) -> Actions:
    """Return the enabled buttons; none if the settings can't be read."""
    status = settings.status
    if status is Status.OTHER_VERSION:
        return Actions(enable=False, save=False, reset=False, send_test_mail=False)
    return Actions(
        enable=status is not Status.ENABLED,
        save=status is not Status.NOT_CONFIGURED,
        reset=status is not Status.NOT_CONFIGURED or settings.pending is not None,
        send_test_mail=status in (Status.ENABLED, Status.SENDER_REFUSED),
    )


def problem_of(settings: TenantSettings, now: datetime) -> StandingProblemView | None:
    """Return the problem that prevents sending, if any.

    If another version of the app wrote the settings, that is the problem.
    """
    problem = settings.problem
    if problem is None and settings.status is Status.OTHER_VERSION:
        problem = ActiveProblem("written_by_other_version", now)
    return active_problem_view(problem) if problem else None
