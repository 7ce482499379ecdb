"""Declare what sending needs from outside."""

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
    from shared.system import World


class Sending(Protocol):
    """The ports of sending; reading one may raise ConfigurationError.

    The rows, the stored requests and the queue need only the storage settings, so a mail can be stored while
    every other setting is wrong.
    """

    @property
    def world(self) -> World:
        """Time and random values."""

    @property
    def settings(self) -> OwnedSettingsStore:
        """The senders."""

    @property
    def switch(self) -> SendingSwitch:
        """Whether sending is paused for the whole installation."""

    @property
    def operator_log(self) -> OperatorLog:
        """Actions of operators by command."""

    @property
    def deliveries(self) -> DeliveryLog:
        """The delivery log."""

    @property
    def requests(self) -> KeptTexts:
        """The requests of unfinished mails."""

    @property
    def drafts(self) -> KeptTexts:
        """The state of drafts."""

    @property
    def outbox(self) -> Outbox:
        """The queue."""

    @property
    def files(self) -> AttachmentFiles:
        """The schedulers' files."""

    @property
    def tokens(self) -> AccessTokens:
        """Access tokens."""

    @property
    def transport(self) -> MailTransport:
        """Microsoft Graph."""

    @property
    def throttle(self) -> Throttle:
        """Limits when each mail may be sent."""

    @property
    def claims(self) -> ClaimMemory:
        """What this process knows of claims."""

    @property
    def message_limit_mb(self) -> int:
        """The message size limit of a mailbox, encoded, in megabytes."""

    @property
    def resends_unknown(self) -> bool:
        """Whether a mail with unknown outcome is sent again without look-up."""

    @property
    def installation(self) -> str | None:
        """The client id that tags this installation's claims.

        None while a setting is wrong.
        """

    @property
    def setting_problems(self) -> tuple[ConfigurationError, ...]:
        """What is wrong with the settings, with the name of each."""

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that this installation serves."""

    @property
    def application_senders(self) -> tuple[str, ...]:
        """The addresses that may send with the app's own permission."""

    @property
    def home_tenant(self) -> str:
        """The operator's own tenant, for messages without a usable tenant."""
