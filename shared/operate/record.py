"""Print output and record the action for the audit, for every command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from shared.settings.operator_log import OperatorAction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.consent.ports import FlowStore
    from shared.deliveries.ports import DeliveryLog, TextStore
    from shared.settings.operator_log import OperatorLog
    from shared.system import System


class RecordServices(Protocol):
    """The ports that record an action."""

    @property
    def system(self) -> System:
        """The clock, and new ids."""

    @property
    def operator_log(self) -> OperatorLog:
        """The store of actions that the app has not logged yet."""

    @property
    def installation(self) -> str | None:
        """The client id of this installation; None if it is not set here."""

    @property
    def operator_id(self) -> str | None:
        """The object id of the account that is signed in on this machine."""


class DeletionServices(RecordServices, Protocol):
    """The stores that every deletion searches."""

    @property
    def flows(self) -> FlowStore:
        """Consents in progress."""

    @property
    def requests(self) -> TextStore:
        """The requests of unfinished mails and of those that can be retried."""

    @property
    def drafts(self) -> TextStore:
        """The state of drafts."""

    @property
    def deliveries(self) -> DeliveryLog:
        """The delivery log."""


def record_action(
    action: str,
    result: str,
    ports: RecordServices,
    *,
    tenant_id: str | None = None,
    counts: Mapping[str, int] | None = None,
) -> None:
    """Store an action; the app's timer logs it within five minutes."""
    ports.operator_log.add(
        OperatorAction(
            ports.system.new_id(),
            ports.system.now(),
            action,
            result,
            ports.operator_id,
            tenant_id,
            counts or {},
            ports.installation,
        )
    )


def say(line: str) -> None:
    """Print one line; escape characters that the output cannot show."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(f"{line}\n".encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
