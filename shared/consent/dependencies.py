"""What journey 1 and the settings need from the outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from threading import BoundedSemaphore

    from shared.config import AppConfig
    from shared.deliveries.ports import DeliveryLog
    from shared.outbox import Outbox
    from shared.ports import AccessTokens, Authorizer, FlowStore, SettingsStore, TokenStore
    from shared.sending.ports import MailTransport, ScheduleStore
    from shared.settings.sending_switch import SendingSwitch
    from shared.world import World


class Refusals(Protocol):
    """What logging a refused anonymous call needs."""

    def count(self, operation: str, problem: str, trace_id: str) -> str:
        """Count a refusal instead of logging it."""


class Disposing(Protocol):
    """What deleting tokens needs."""

    @property
    def settings(self) -> SettingsStore:
        """What the admin decided."""

    @property
    def vault(self) -> TokenStore:
        """Where tokens are kept."""

    @property
    def world(self) -> World:
        """The clock."""


class Upkeeping(Disposing, Protocol):
    """What the daily upkeep needs."""

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that this installation serves."""

    @property
    def flows(self) -> FlowStore:
        """The consents under way."""

    @property
    def tokens(self) -> AccessTokens:
        """Access tokens."""


class Examining(Protocol):
    """What the doctor needs."""

    @property
    def world(self) -> World:
        """The clock."""

    @property
    def settings(self) -> SettingsStore:
        """What is to work."""

    @property
    def tokens(self) -> AccessTokens:
        """Access tokens."""

    @property
    def application_senders(self) -> tuple[str, ...]:
        """The addresses that may send with the app's own permission."""

    @property
    def transport(self) -> MailTransport:
        """Microsoft Graph."""

    @property
    def switch(self) -> SendingSwitch:
        """Whether sending is paused."""


class Consenting(Disposing, Protocol):
    """The ports of the journey; reading one may raise ConfigurationError."""

    @property
    def config(self) -> AppConfig:
        """What the operator decided."""

    @property
    def refusals(self) -> Refusals:
        """Counts what anonymous callers were refused."""

    @property
    def flows(self) -> FlowStore:
        """The consents under way."""

    @property
    def confirmations(self) -> BoundedSemaphore:
        """The callbacks that may wait for Microsoft's directory at a time."""

    @property
    def authorizer(self) -> Authorizer:
        """Microsoft Entra's consent screen."""

    @property
    def switch(self) -> SendingSwitch:
        """Whether sending is paused."""

    @property
    def deliveries(self) -> DeliveryLog:
        """The mail that waits for a consent."""

    @property
    def schedules(self) -> ScheduleStore:
        """When the mails of each mailbox may be sent."""

    @property
    def messages_per_minute(self) -> int:
        """The operator's limit; 0: none."""

    @property
    def installation(self) -> str | None:
        """The client id, a part of a schedule's name."""

    @property
    def application_senders(self) -> tuple[str, ...]:
        """The addresses that may send with the app's own permission."""

    @property
    def outbox(self) -> Outbox:
        """Where waiting mail goes once it may."""
