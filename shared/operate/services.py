"""Build the services of the operators' commands.

They run on an operator's machine with the app's settings as Azure lists them: the client secret there is
a reference to Key Vault that is not resolved, and the file of a certificate does not exist. No command
needs the app's credential.
"""

from __future__ import annotations

from typing import Final

from shared.bootstrap import Services
from shared.client_credential import ClientSecret
from shared.config import AppConfig
from shared.lazy import lazy
from shared.telemetry import quieten_libraries

_NOT_READ: Final = ClientSecret("")


class OperatorServices(Services):
    """The services of the app, without its credential."""

    @lazy
    def config(self) -> AppConfig:
        """The operator's settings of the app."""
        return AppConfig.from_env(credential=_NOT_READ)


def operator_services() -> OperatorServices:
    """Return what the operators' commands need."""
    quieten_libraries()
    return OperatorServices()
