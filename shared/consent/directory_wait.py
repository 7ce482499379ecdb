"""Wait until Microsoft's directory knows a new consent.

After a consent, it can take a minute until Microsoft's tokens have the new permissions. The callback waits
for that inside its HTTP request, which Azure ends after 230 seconds: up to one minute, or two if Entra asks
the app to wait. A waiting callback holds no lock, but one of the 16 threads of the worker process, so only a
few callbacks of a process wait at a time.
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
#: The last attempt begins at most this long after the first one, so that its own timeout of ten seconds ends
#: within the minute.
_LAST_ATTEMPT = timedelta(seconds=50)
#: The same if Entra asks the app to wait. For tokens of the app itself, it asks for a minute (MSAL .NET
#: #2855).
_LAST_ATTEMPT_AFTER_WAIT = timedelta(seconds=120)
#: How many callbacks of a process may wait at a time. Of its threads, eight send mail.
MAX_WAITING = 4


class DirectoryRetries:
    """Pauses between the attempts of one callback; a context manager."""

    def __init__(self, flow: ConsentFlow, ports: ConsentServices) -> None:
        self._flow = flow
        self._ports = ports
        self._started_at = ports.system.now()
        self._pauses = iter(_PAUSES)
        self._waiting = False

    def __enter__(self) -> Self:
        """Return the object itself; waiting starts with the first pause."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let another callback wait, if this one has waited."""
        if self._waiting:
            self._ports.directory_waits.release()

    def pause_before_retry(self, requested: timedelta | None = None) -> bool:
        """Pause, and return True if there is time for another attempt.

        Without time for another attempt, this returns False at once. `requested` is the wait that Entra asked
        for.

        Raises:
            ConflictError: `consent_superseded`: meanwhile there was a Reset or a newer consent.
            EntraUnavailableError: too many callbacks of this process are waiting already.
        """
        pause = next(self._pauses, None)
        if pause is None:
            return False
        wait = max(timedelta(seconds=pause), requested or timedelta(0))
        limit = _LAST_ATTEMPT_AFTER_WAIT if requested else _LAST_ATTEMPT
        if self._ports.system.now() + wait > self._started_at + limit:
            return False
        if not self._waiting:
            self._start_waiting()
        self._ports.system.sleep(wait.total_seconds())
        pending_consent(self._ports.settings.load(self._flow.tenant_id), self._flow.flow_id)
        return True

    def wait_for_app(self, error: ProblemError) -> None:
        """Pause after an error that says that Entra does not know the app yet.

        Entra may not know the app, or its credential, for some time.

        Raises:
            ConsentRequiredError: `consent_not_confirmed`: there is no time left, and Entra does not know the
                app.
            ProblemError: `error`, if it is another one, or there is no time left and Entra does not know the
                credential.
        """
        if error.replicating not in {"app", "credential"}:
            raise error
        if self.pause_before_retry():
            return
        if error.replicating == "app":
            raise ConsentRequiredError("consent_not_confirmed", request_id=error.request_id) from error
        raise error

    def _start_waiting(self) -> None:
        if not self._ports.directory_waits.acquire(blocking=False):
            raise EntraUnavailableError
        self._waiting = True
        save_flow(replace(self._flow, stage=FlowStage.CONFIRMING), self._ports)
