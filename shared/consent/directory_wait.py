"""Wait for Microsoft's directory.

A consent can take a minute to show in its tokens.

The callback waits inside its request, which Azure ends after 230 s: up to a minute, and up to two where Entra
asks for a wait. It holds no lock, but one of the worker's 16 threads, so only a few callbacks of a process
wait at a time.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from shared.consent.completion import save_flow
from shared.consent.errors import EntraUnavailableError
from shared.consent.flow import FlowStage
from shared.errors import ConsentRequiredError
from shared.settings.state import pending_consent

if TYPE_CHECKING:
    from types import TracebackType

    from shared.consent.flow import ConsentFlow
    from shared.consent.services import ConsentServices
    from shared.errors import ProblemError

#: Seconds between the attempts.
_PAUSES = (1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 5, 5)
#: No attempt begins later, so that its own timeout of ten seconds fits into the minute.
_LAST_TRY = timedelta(seconds=50)
#: The same where Entra asks for a wait, which is a minute for the app's own tokens (MSAL .NET #2855).
_LAST_TRY_AFTER_WAIT = timedelta(seconds=120)
#: How many callbacks of a process may wait at a time; eight of the threads are for mails.
MAX_WAITING = 4


class DirectoryRetries:
    """The attempts of one callback, used as a context manager."""

    def __init__(self, flow: ConsentFlow, ports: ConsentServices) -> None:
        self._flow = flow
        self._ports = ports
        self._begun = ports.system.now()
        self._pauses = iter(_PAUSES)
        self._waiting = False

    def __enter__(self) -> Self:
        """Start the minute."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let another callback wait."""
        if self._waiting:
            self._ports.directory_waits.release()

    def again(self, requested: timedelta | None = None) -> bool:
        """Pause, and say whether there is time for another attempt.

        `requested` is the wait that Entra asked for.

        Raises:
            ConflictError: `consent_superseded`, as soon as a Reset or a newer consent makes waiting useless.
            TransientError: too many callbacks are waiting already.
        """
        pause = next(self._pauses, None)
        if pause is None:
            return False
        wait = max(timedelta(seconds=pause), requested or timedelta(0))
        if self._ports.system.now() + wait > self._begun + (_LAST_TRY_AFTER_WAIT if requested else _LAST_TRY):
            return False
        if not self._waiting:
            self._begin()
        self._ports.system.sleep(wait.total_seconds())
        pending_consent(self._ports.settings.load(self._flow.tenant_id), self._flow.flow_id)
        return True

    def wait_for_app(self, error: ProblemError) -> None:
        """Wait if Entra does not know the app or its credential yet.

        Any other refusal counts, and so does this one after a minute.

        Raises:
            ConsentRequiredError: `consent_not_confirmed`: the app is still not known; any other refusal.
        """
        if error.replicating not in {"app", "credential"}:
            raise error
        if self.again():
            return
        if error.replicating == "app":
            raise ConsentRequiredError("consent_not_confirmed", request_id=error.request_id) from error
        raise error

    def _begin(self) -> None:
        if not self._ports.directory_waits.acquire(blocking=False):
            raise EntraUnavailableError
        self._waiting = True
        save_flow(replace(self._flow, stage=FlowStage.CONFIRMING), self._ports)
