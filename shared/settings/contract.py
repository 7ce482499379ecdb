"""The shapes of the settings API."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from shared.contract import Contract
from shared.errors import InvalidInputError
from shared.mail_address import check_mail_address
from shared.problems import FieldError
from shared.settings.tenant import Authorization, PendingConsent, Status, TenantSettings, Wanted
from shared.web.contract import StandingProblemView, standing_problem_view


class EnableBody(Contract):
    """What Enable asks for.

    `askAgain` has Microsoft show its consent page even for what was consented to before.
    """

    from_email_address: str
    large_file_attachments: bool = False
    authorization: Authorization = Authorization.DELEGATED
    ask_again: bool = False

    def wanted(self) -> Wanted:
        """Return what to ask consent for.

        Raises:
            InvalidInputError: `invalid_from_email_address`.
        """
        address = _from_address(self.from_email_address)
        return Wanted(address, self.large_file_attachments, self.authorization)


class SaveBody(Contract):
    """What Save asks for; the way of authorisation stays as it is."""

    from_email_address: str
    large_file_attachments: bool
    ask_again: bool = False

    def wanted(self, authorization: Authorization) -> Wanted:
        """Return what to ask consent for.

        Raises:
            InvalidInputError: `invalid_from_email_address`.
        """
        return Wanted(_from_address(self.from_email_address), self.large_file_attachments, authorization)


class Toggle(Contract):
    """A switch on the page: whether it is on, and whether it can be moved."""

    enabled: bool
    locked: bool


class PendingConsentView(Contract):
    """A consent under way."""

    flow_id: str
    from_email_address: str
    large_file_attachments: bool
    expires_at: datetime


class Actions(Contract):
    """Which buttons work now."""

    enable: bool
    save: bool
    reset: bool
    send_test_mail: bool


class SettingsView(Contract):
    """The settings as the page shows them."""

    provider: Literal["Office365"] = "Office365"
    status: Status
    authorization: Authorization
    from_email_address: str | None
    delegated_mailbox: bool
    single_sender_identity: Toggle = Toggle(enabled=True, locked=True)
    large_file_attachments: Toggle
    permissions: tuple[str, ...]
    consent_started_by: str | None
    consented_by: str | None
    consented_at: datetime | None
    token_refreshed_at: datetime | None
    pending_consent: PendingConsentView | None
    tokens_recoverable_until: datetime | None
    waiting_mails: int
    actions: Actions
    problem: StandingProblemView | None


class StartedConsentView(Contract):
    """Where to send the admin, and where to ask how it went."""

    flow_id: str
    start_url: str
    status_url: str
    expires_at: datetime


def view(settings: TenantSettings, waiting_mails: int, now: datetime) -> SettingsView:
    """Show settings to their admin."""
    sender, consent = settings.sender, settings.consent
    large = bool(sender and sender.large_file_attachments)
    return SettingsView(
        status=settings.status,
        authorization=sender.authorization if sender else Authorization.DELEGATED,
        from_email_address=sender.from_address if sender else None,
        delegated_mailbox=settings.delegated_mailbox,
        large_file_attachments=Toggle(enabled=large, locked=large),
        permissions=tuple(sorted(consent.scopes)) if consent else (),
        consent_started_by=consent.started_by if consent else None,
        consented_by=consent.consented_by if consent else None,
        consented_at=consent.consented_at if consent else None,
        token_refreshed_at=consent.refreshed_at if consent else None,
        pending_consent=_pending(settings.pending, now),
        tokens_recoverable_until=_future(settings.recoverable_until, now),
        waiting_mails=waiting_mails,
        actions=Actions(
            enable=settings.status is not Status.ENABLED,
            save=settings.status is not Status.NOT_CONFIGURED,
            reset=settings.status is not Status.NOT_CONFIGURED or settings.pending is not None,
            send_test_mail=settings.status is Status.ENABLED,
        ),
        problem=standing_problem_view(settings.problem) if settings.problem else None,
    )


def _pending(pending: PendingConsent | None, now: datetime) -> PendingConsentView | None:
    if pending is None or pending.expires_at <= now:
        return None
    return PendingConsentView(
        flow_id=pending.flow_id,
        from_email_address=pending.wanted.from_address,
        large_file_attachments=pending.wanted.large_file_attachments,
        expires_at=pending.expires_at,
    )


def _future(moment: datetime | None, now: datetime) -> datetime | None:
    return moment if moment and moment > now else None


def _from_address(text: str) -> str:
    try:
        return check_mail_address(text.strip())
    except ValueError as error:
        field = FieldError("fromEmailAddress", str(error))
        raise InvalidInputError("invalid_from_email_address", fields=[field]) from error
