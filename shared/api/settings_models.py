"""Define the request and response models of the settings API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from shared.api.backlog_view import BacklogView
from shared.api.problem_models import SendingPauseView, StandingProblemView
from shared.errors import InvalidInputError
from shared.mail_address import ADDRESS_PATTERN, check_mail_address
from shared.problems import Actor, FieldError
from shared.schema import Contract, Flag
from shared.settings.tenant import (
    Authorization,
    RequestedSender,
    Status,
)

#: A From address as entered. Spaces around it are removed, and it is checked, only later, because an invalid
#: address has a problem code of its own.
type EnteredAddress = Annotated[str, Field(json_schema_extra={"pattern": ADDRESS_PATTERN})]


class EnableBody(Contract):
    """The body of Enable.

    `askAgain` shows Microsoft's consent page again, even if consent was given before.
    """

    from_email_address: EnteredAddress
    large_file_attachments: Flag = False
    authorization: Authorization = Authorization.DELEGATED
    ask_again: Flag = False

    def requested_sender(self) -> RequestedSender:
        """Return the way of sending for which to start a consent.

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

    def requested_sender(self, authorization: Authorization) -> RequestedSender:
        """Return the way of sending for which to start a consent.

        Raises:
            InvalidInputError: `invalid_from_email_address`.
        """
        return RequestedSender(
            _from_address(self.from_email_address), self.large_file_attachments, authorization
        )


class Toggle(Contract):
    """A switch on the page: whether it is on, and whether it is locked."""

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


class Actions(Contract):
    """The buttons that are enabled."""

    enable: bool
    save: bool
    reset: bool
    send_test_mail: bool


class SettingsView(Contract):
    """The settings; `sendingPaused` is null while sending is not paused.

    `applicationAvailable`: the operator allows at least one address to send with the app's own permission.
    `permissions`: the permissions in Microsoft's newest token that sending uses. `surplusPermissions`: the
    permissions in this token that were not requested. `exchangeDecides`: the token names no permission, and
    only Exchange knows what the app may do (RBAC for Applications). `recipientsSee`: the primary address of
    the mailbox, which Exchange shows as the sender even if another address of the mailbox was entered; null
    if Microsoft does not return it. `tokensLeftBehind`: the vault still has unused tokens, which the app
    tries to delete every day. `tokensRecoverableUntil`: until when deleted tokens can be recovered.
    `waitingMails`: the number of mails that wait until someone acts. `backlog`: null if no mail waits for the
    rate limit, or if that is unknown.
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
    """The URL to open in a window, and the URL that returns the state.

    `startUrl` has a ticket in its fragment; open it unchanged in a new window.
    """

    flow_id: str
    start_url: str
    status_url: str
    expires_at: datetime


class SavedView(Contract):
    """The consent that Save started; every member is null if none is needed.

    Both cases have the same status and shape, because a generated client returns one type and raises an error
    for any other status.
    """

    flow_id: str | None = None
    start_url: str | None = None
    status_url: str | None = None
    expires_at: datetime | None = None


def _from_address(text: str) -> str:
    try:
        return check_mail_address(text.strip(" "))
    except ValueError as error:
        field = FieldError("fromEmailAddress", str(error))
        raise InvalidInputError("invalid_from_email_address", fields=[field]) from error
