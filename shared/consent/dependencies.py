"""What journey 1 and the settings need from the outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from shared.config import AppConfig
    from shared.deliveries.ports import DeliveryLog
    from shared.ports import AccessTokens, Authorizer, FlowStore, Outbox, SettingsStore, TokenStore
    from shared.sending.ports import MailTransport
    from shared.world import World


class Disposing(Protocol):
    """What deleting tokens needs."""

    @property
    def settings(self) -> SettingsStore:
        """What the admin decided."""

    @property
    def vault(self) -> TokenStore:
        """Where tokens are kept."""


class Upkeeping(Disposing, Protocol):
    """What the daily upkeep needs."""

    @property
    def world(self) -> World:
        """The clock."""

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
    def transport(self) -> MailTransport:
        """Microsoft Graph."""


class Consenting(Disposing, Protocol):
    """The ports of the journey; reading one may raise ConfigurationError."""

    @property
    def config(self) -> AppConfig:
        """What the operator decided."""

    @property
    def world(self) -> World:
        """Time and chance."""

    @property
    def flows(self) -> FlowStore:
        """The consents under way."""

    @property
    def authorizer(self) -> Authorizer:
        """Microsoft Entra's consent screen."""

    @property
    def deliveries(self) -> DeliveryLog:
        """The mail that waits for a consent."""

    @property
    def outbox(self) -> Outbox:
        """Where waiting mail goes once it may."""
