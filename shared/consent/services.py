"""Declare what consent and the settings need from outside."""

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
    from shared.system import World


class Refusals(Protocol):
    """What is needed to log a refused anonymous call."""

    def count(self, operation: str, problem: str, trace_id: str) -> str:
        """Count a refusal instead of logging it."""


class Disposing(Protocol):
    """What is needed to delete tokens."""

    @property
    def settings(self) -> SettingsStore:
        """What the admins decided."""

    @property
    def vault(self) -> TokenStore:
        """The token store."""

    @property
    def world(self) -> World:
        """The clock."""


class Upkeeping(Disposing, Protocol):
    """What the daily maintenance needs."""

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that this installation serves."""

    @property
    def flows(self) -> FlowStore:
        """The consents in progress."""

    @property
    def tokens(self) -> AccessTokens:
        """Access tokens."""


class Examining(Protocol):
    """What the diagnostics need."""

    @property
    def world(self) -> World:
        """The clock."""

    @property
    def settings(self) -> SettingsStore:
        """The settings to check."""

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
    """The ports of consent; reading one may raise ConfigurationError."""

    @property
    def config(self) -> AppConfig:
        """The operator's app settings."""

    @property
    def refusals(self) -> Refusals:
        """Counts refused anonymous calls."""

    @property
    def flows(self) -> FlowStore:
        """The consents in progress."""

    @property
    def confirmations(self) -> BoundedSemaphore:
        """Limits how many callbacks wait for Microsoft's directory."""

    @property
    def authorizer(self) -> Authorizer:
        """Microsoft Entra's consent screen."""

    @property
    def switch(self) -> SendingSwitch:
        """Whether sending is paused."""

    @property
    def deliveries(self) -> DeliveryLog:
        """The mails that wait for a consent."""

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
        """The queue for mails that are released."""
