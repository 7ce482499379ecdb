"""Define the request and response models of the settings API."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from shared.api.backlog_view import BacklogView
from shared.api.problem_models import SendingPauseView, StandingProblemView, sending_pause_view
from shared.api.settings_actions import Actions, actions_of, problem_of
from shared.errors import InvalidInputError
from shared.mail_address import ADDRESS_PATTERN, check_mail_address
from shared.problems import Actor, FieldError, explain
from shared.schema import Contract, Flag
from shared.settings.scopes import (
    exchange_decides,
    granted_scopes_known,
    requested_and_granted,
    scopes_in_use,
    surplus_scopes,
)
from shared.settings.tenant import (
    Authorization,
    Consent,
    PendingConsent,
    RequestedSender,
    Status,
    TenantSettings,
)

if TYPE_CHECKING:
    from shared.settings.sending_switch import SendingPause


#: Spaces around it are removed. It is checked later, because an invalid address has its own problem code.
type EnteredAddress = Annotated[str, Field(json_schema_extra={"pattern": ADDRESS_PATTERN})]


class EnableBody(Contract):
    """The body of Enable.

    `askAgain` shows Microsoft's consent page again, even if consent was given before.
    """

    from_email_address: EnteredAddress
    large_file_attachments: Flag = False
    authorization: Authorization = Authorization.DELEGATED
    ask_again: Flag = False

    def wanted(self) -> RequestedSender:
        """Return what to ask consent for.

        Raises:
            InvalidInputError: `invalid_from_email_address`.
        """
        address = _from_address(self.from_email_address)
        return RequestedSender(address, self.large_file_attachments, self.authorization)


class SaveBody(Contract):
    """The body of Save, which does not change the authorization."""

    from_email_address: EnteredAddress
    large_file_attachments: Flag
    ask_again: Flag = False

    def wanted(self, authorization: Authorization) -> RequestedSender:
        """Return what to ask consent for.

        Raises:
            InvalidInputError: `invalid_from_email_address`.
        """
        return RequestedSender(
            _from_address(self.from_email_address), self.large_file_attachments, authorization
        )


class Toggle(Contract):
    """A switch on the page: whether it is on, and whether it can be moved."""

    enabled: bool
    locked: bool


class PendingConsentView(Contract):
    """A consent in progress."""

    flow_id: str
    from_email_address: str
    large_file_attachments: bool
    expires_at: datetime


class RemainsView(Contract):
    """What remains at Microsoft after a Reset, and who removes it."""

    permissions: tuple[str, ...]
    detail: str
    who_acts: Actor


class SettingsView(Contract):
    """The settings; `sendingPaused` is null while sending is not paused.

    `applicationAvailable`: the operator allows at least one address to send with the app's own permission.
    `permissions`: those in Microsoft's newest token that sending uses; `surplusPermissions`: those in it that
    were not requested. With `exchangeDecides` the token names none: only Exchange knows what the app may do
    (RBAC for Applications). `recipientsSee`: the primary address of the mailbox, which Exchange shows as the
    sender whichever of its addresses was entered; null if Microsoft does not return it. `tokensLeftBehind`:
    the vault still has unused tokens; the app tries every day to delete them. `tokensRecoverableUntil`: until
    when deleted tokens can be recovered. `waitingMails`: the number of mails that wait until someone acts.
    `backlog`: null if no mail waits for the rate limit, or if that is unknown.
    """

    provider: Literal["Office365"] = "Office365"
    status: Status
    authorization: Authorization
    application_available: bool
    from_email_address: str | None
    delegated_mailbox: bool
    recipients_see: str | None
    single_sender_identity: Toggle = Toggle(enabled=True, locked=True)
    large_file_attachments: Toggle
    permissions: tuple[str, ...]
    surplus_permissions: tuple[str, ...]
    exchange_decides: bool
    remains_after_reset: RemainsView | None
    consent_started_by: str | None
    consented_by: str | None
    consented_at: datetime | None
    token_refreshed_at: datetime | None
    pending_consent: PendingConsentView | None
    tokens_left_behind: bool
    tokens_recoverable_until: datetime | None
    waiting_mails: int
    backlog: BacklogView | None
    sending_paused: SendingPauseView | None
    actions: Actions
    problem: StandingProblemView | None


class StartedConsentView(Contract):
    """The URL to open for the admin, and the URL of the consent's state.

    `startUrl` has a ticket in its fragment; open it unchanged in a new window.
    """

    flow_id: str
    start_url: str
    status_url: str
    expires_at: datetime


class SavedView(Contract):
    """The consent that Save started; every member is null if none is needed.

    Both cases have one status and one shape, because generated clients return one type and throw on any other
    status.
    """

    flow_id: str | None = None
    start_url: str | None = None
    status_url: str | None = None
    expires_at: datetime | None = None


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
        recipients_see=settings.recipients_see,
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
        tokens_left_behind=bool(settings.undeleted),
        tokens_recoverable_until=_future(settings.recoverable_until, now),
        waiting_mails=waiting_mails,
        backlog=backlog,
        sending_paused=sending_pause_view(pause),
        actions=actions_of(settings),
        problem=problem_of(settings, now),
    )


def _permissions(settings: TenantSettings) -> tuple[str, ...]:
    granted = granted_scopes_known(settings.consent) if settings.consent else ()
    return tuple(sorted(requested_and_granted(scopes_in_use(settings), granted)))


def _remains(consent: Consent) -> RemainsView:
    """Return what remains at Microsoft.

    The app cannot remove it, because it has no permission to administer itself.
    """
    permissions = tuple(sorted(granted_scopes_known(consent)))
    listed = ", ".join(permissions) or "if it granted any"
    if consent.account:
        problem = explain("user_permissions_remain", account=consent.account.name, permissions=listed)
    elif exchange_decides(consent):
        problem = explain("exchange_permissions_remain")
    else:
        problem = explain("application_permissions_remain", permissions=listed)
    return RemainsView(permissions=permissions, detail=problem.sentence, who_acts=problem.who_acts)


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
        return check_mail_address(text.strip(" "))
    except ValueError as error:
        field = FieldError("fromEmailAddress", str(error))
        raise InvalidInputError("invalid_from_email_address", fields=[field]) from error
