"""Declare the services that consent and the settings use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from threading import BoundedSemaphore

    from shared.config import AppConfig
    from shared.consent.ports import Authorizer, FlowStore, TokenStore
    from shared.settings.ports import AccessTokens, SettingsStore
    from shared.settings.sending_switch import SendingSwitch
    from shared.system import System


class RevokeServices(Protocol):
    """The services needed to delete tokens."""

    @property
    def settings(self) -> SettingsStore:
        """The tenants' settings."""

    @property
    def vault(self) -> TokenStore:
        """The token store."""

    @property
    def system(self) -> System:
        """The clock."""


class MaintenanceServices(RevokeServices, Protocol):
    """The services of the daily maintenance."""

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that this installation serves."""

    @property
    def flows(self) -> FlowStore:
        """The consents in progress."""

    @property
    def tokens(self) -> AccessTokens:
        """Access tokens."""


class ConsentServices(RevokeServices, Protocol):
    """The ports of consent; reading one may raise ConfigurationError."""

    @property
    def config(self) -> AppConfig:
        """The operator's app settings."""

    @property
    def flows(self) -> FlowStore:
        """The consents in progress."""

    @property
    def directory_waits(self) -> BoundedSemaphore:
        """Limits how many callbacks wait for Microsoft's directory."""

    @property
    def authorizer(self) -> Authorizer:
        """Microsoft Entra's consent screen."""

    @property
    def switch(self) -> SendingSwitch:
        """Whether sending is paused."""

    @property
    def application_senders(self) -> tuple[str, ...]:
        """The addresses that may send with the app's own permission."""
