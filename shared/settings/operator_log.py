"""Audit the operator's commands.

A command runs on the operator's machine, from which nothing is written to the app's log. So the command
stores a record of its action, and the timer that runs every five minutes logs and removes the record.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from shared.forward_compatible import Stored
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class OperatorAction(Stored):
    """One action that an operator took by command.

    Attributes:
        operator_id: the object id in the token that the command used; None with a connection string.
        tenant_id: the tenant that the action concerned; None if it concerned all tenants.
        counts: the number of deleted items of each kind.
        installation: the client id of the app registration that the action concerned; None in older rows.
    """

    action_id: str
    at: datetime
    action: str
    result: str
    operator_id: str | None = None
    tenant_id: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    installation: str | None = None


class OperatorLog(Protocol):
    """Stores the operator's actions until they are logged.

    Every method may raise TransientError and ConfigurationError.
    """

    def add(self, action: OperatorAction) -> None:
        """Store an action."""

    def unreported(self) -> Iterable[OperatorAction]:
        """Return the actions that are not logged yet, oldest first."""

    def remove(self, action: OperatorAction) -> None:
        """Remove an action; one that does not exist is no error."""


class OperatorLogServices(Protocol):
    """The ports that the report of operators' actions needs."""

    @property
    def operator_log(self) -> OperatorLog:
        """The stored actions."""

    @property
    def installation(self) -> str | None:
        """The client id of this installation; None while it is not known."""


def report_operator_actions(ports: OperatorLogServices) -> None:
    """Log every stored action.

    After a crash an action may be logged twice, with the same id. The actions of another installation that
    uses the same storage account are logged by that installation.
    """
    for action in ports.operator_log.unreported():
        if action.installation not in {None, ports.installation}:
            continue
        log_event(
            Event.OPERATOR_ACTION,
            level=logging.WARNING,
            action_id=action.action_id,
            at=action.at,
            action=action.action,
            result=action.result,
            oid=action.operator_id,
            tenant_id=action.tenant_id,
            deleted=", ".join(f"{name} {count}" for name, count in action.counts.items()) or None,
        )
        ports.operator_log.remove(action)
