"""What journey 2 needs from the outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from shared.deliveries.ports import DeliveryLog, KeptTexts
    from shared.errors import ConfigurationError
    from shared.outbox import Outbox
    from shared.ports import AccessTokens
    from shared.sending.claim_memory import ClaimMemory
    from shared.sending.ports import AttachmentFiles, MailTransport
    from shared.sending.throttle import Throttle
    from shared.settings.operator_log import OperatorLog
    from shared.settings.ownership import OwnedSettingsStore
    from shared.settings.sending_switch import SendingSwitch
    from shared.world import World


class Sending(Protocol):
    """The ports of the journey; reading one may raise ConfigurationError.

    The rows, the kept requests and the queue need the storage settings alone, so a mail can be kept
    while every other setting is wrong.
    """

    @property
    def world(self) -> World:
        """Time and chance."""

    @property
    def settings(self) -> OwnedSettingsStore:
        """Who sends."""

    @property
    def switch(self) -> SendingSwitch:
        """Whether sending is paused for the whole installation."""

    @property
    def operator_log(self) -> OperatorLog:
        """What operators did by command."""

    @property
    def deliveries(self) -> DeliveryLog:
        """What became of each mail."""

    @property
    def requests(self) -> KeptTexts:
        """The mails that are not done yet."""

    @property
    def drafts(self) -> KeptTexts:
        """How far the drafts of mails under way came."""

    @property
    def outbox(self) -> Outbox:
        """The queue."""

    @property
    def files(self) -> AttachmentFiles:
        """The files of the schedulers."""

    @property
    def tokens(self) -> AccessTokens:
        """Access tokens."""

    @property
    def transport(self) -> MailTransport:
        """Microsoft Graph."""

    @property
    def throttle(self) -> Throttle:
        """When each mail may be sent."""

    @property
    def claims(self) -> ClaimMemory:
        """What this process knows of claims."""

    @property
    def message_limit_mb(self) -> int:
        """The most that a mailbox may send, encoded."""

    @property
    def resends_unknown(self) -> bool:
        """Whether a mail that may have been sent, and can't be looked up, is sent again."""

    @property
    def installation(self) -> str | None:
        """The client id, which marks what this installation claims; None while a setting is wrong."""

    @property
    def setting_problems(self) -> tuple[ConfigurationError, ...]:
        """What is wrong with the settings, each by its name."""

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that this installation serves."""

    @property
    def application_senders(self) -> tuple[str, ...]:
        """The addresses that may send with the app's own permission."""

    @property
    def home_tenant(self) -> str:
        """The operator's own tenant, under which a message without a usable name is recorded."""
