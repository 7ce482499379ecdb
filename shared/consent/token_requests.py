"""When Entra is asked for an access token, and whether its refusal is believed.

While Entra wants no requests none is sent, because each one prolongs the wait. Right after a consent, and
for moments later too, a server of Entra may not know the consent or the app (microsoft-graph-docs#4765,
#10907, MSAL .NET #2612, #3706), nor a credential of the app that was just replaced. So such a refusal counts
only once it was repeated minutes apart, and never in the first minutes of a consent.
https://learn.microsoft.com/entra/msal/dotnet/advanced/client-and-server-throttling
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.errors import ProblemError, TransientError
from shared.settings.refresh import note_refusal
from shared.settings.state import holds
from shared.settings.update import update_settings
from shared.telemetry import log_failed_step
from shared.time_limit import held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.ports import Issued, SettingsStore
    from shared.settings.tenant import Consent
    from shared.world import World

#: Reports say minutes; the callback itself has waited for one.
SPREADING = timedelta(minutes=15)
#: What lies between two refusals of which the second counts.
REPEATED_AFTER = timedelta(minutes=5)
#: What the clocks of two hosts may differ without anything being wrong.
_CLOCK_SKEW = timedelta(hours=1)


def is_fresh(consent: Consent, now: datetime) -> bool:
    """Say whether not every server of Microsoft may know this consent yet."""
    return -_CLOCK_SKEW <= now - consent.consented_at < SPREADING


class Turn:
    """Lets one caller of a tenant ask for a token at a time.

    Threads that waited meanwhile share its failure. Waiting for an endpoint that hangs takes half a minute,
    so forty mails that wait one after the other would exceed every time limit.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: list[TransientError] = []

    @property
    def taken(self) -> bool:
        """Whether somebody asks just now."""
        return self._lock.locked()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for the turn.

        Raises:
            TransientError: the one that a caller met for whom this one waited.
        """
        before = self._failures
        with held(self._lock):
            if self._failures is not before:
                (error,) = self._failures
                raise TransientError(
                    error.code, retry_after=error.retry_after, request_id=error.request_id, **error.facts
                ) from error
            try:
                yield
            except TransientError as error:
                self._failures = [error]
                raise


class TokenRequests:
    """The token requests of this process."""

    def __init__(self, settings: SettingsStore, world: World) -> None:
        self._settings = settings
        self._world = world
        #: Until when a tenant's tokens are not asked for, by the time that passes in this process.
        self._paused_until: dict[str, datetime] = {}

    def ask(self, tenant_id: str, consent: Consent, request: Callable[[], Issued]) -> Issued:
        """Make a request for a tenant's token.

        Raises:
            TransientError: `entra_unavailable`, without asking while Entra wants no requests;
                `consent_spreading`, `credential_spreading`: a refusal that can pass; what the request raises.
            ConsentRequiredError: what the request raises, if it counts.
            ConfigurationError: the same.
        """
        self._check_pause(tenant_id)
        try:
            return request()
        except TransientError as error:
            self._note_pause(tenant_id, error)
            raise
        except ProblemError as error:
            if not error.unseen or self._counts(tenant_id, consent):
                raise
            shown = error.facts.get("error", error.code)
            code = "credential_spreading" if error.unseen == "credential" else "consent_spreading"
            raise TransientError(code, request_id=error.request_id, error=shown) from error

    def _check_pause(self, tenant_id: str) -> None:
        now = self._world.steady()
        until = self._paused_until.get(tenant_id, now)
        if until > now:
            raise TransientError("entra_unavailable", retry_after=until - now)

    def _note_pause(self, tenant_id: str, error: TransientError) -> None:
        if error.code == "entra_unavailable" and error.retry_after:
            self._paused_until[tenant_id] = self._world.steady() + error.retry_after

    def _counts(self, tenant_id: str, consent: Consent) -> bool:
        """Say whether a refusal that can pass is a repeated one; the first is noted, for every process."""
        now = self._world.now()
        if is_fresh(consent, now):
            return False
        try:
            after = update_settings(
                self._settings, tenant_id, lambda found: note_refusal(found, consent.generation, now)
            )
        except ProblemError as error:
            log_failed_step("note_refusal", error.code, tenant_id=tenant_id)
            return False
        if after.consent is None or not holds(after, consent.generation):
            return True
        return after.consent.refused_at is not None and now - after.consent.refused_at >= REPEATED_AFTER
