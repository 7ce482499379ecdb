"""Decide when to request a token from Entra and which refusals count.

While Entra wants no requests none is sent, because each one prolongs the wait. Right after a consent, and
briefly later too, a server of Entra may not know the consent or the app (microsoft-graph-docs#4765, #10907,
MSAL .NET #2612, #3706), nor a credential of the app that was just replaced. So such a refusal counts only
when it is repeated minutes later, and never in the first minutes of a consent.

https://learn.microsoft.com/entra/msal/dotnet/advanced/client-and-server-throttling
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.consent.errors import EntraUnavailableError
from shared.errors import ProblemError, TransientError
from shared.settings.consent_health import record_token_refusal
from shared.settings.state import is_current_consent
from shared.settings.update import update_settings
from shared.telemetry import log_failed_step
from shared.time_limit import acquired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.consent.ports import AccessToken
    from shared.settings.ports import SettingsStore
    from shared.settings.tenant import Consent
    from shared.system import System

#: Reports say minutes; the callback itself has already waited for one.
PROPAGATION_TIME = timedelta(minutes=15)
#: The minimum time between two refusals of which the second counts.
REPEATED_AFTER = timedelta(minutes=5)
#: The tolerated difference between the clocks of two hosts.
_CLOCK_SKEW = timedelta(hours=1)


def is_recent(consent: Consent, now: datetime) -> bool:
    """Return whether some of Microsoft's servers may not have it yet."""
    return -_CLOCK_SKEW <= now - consent.consented_at < PROPAGATION_TIME


class Turn:
    """Lets one caller of a tenant request a token at a time.

    Threads that waited meanwhile get the same error. An endpoint that hangs takes half a minute, so forty
    mails that wait one after the other would exceed every time limit.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: list[TransientError] = []

    @property
    def taken(self) -> bool:
        """Whether a request is in progress."""
        return self._lock.locked()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for this caller's turn.

        Raises:
            TransientError: the error of the caller that this one waited for.
        """
        before = self._failures
        with acquired(self._lock):
            if self._failures is not before:
                (error,) = self._failures
                raise error.with_params() from error
            try:
                yield
            except TransientError as error:
                self._failures = [error]
                raise


class TokenRequests:
    """The token requests of this process."""

    def __init__(self, settings: SettingsStore, system: System) -> None:
        self._settings = settings
        self._system = system
        #: Until when no tokens are requested for a tenant, by this process's monotonic clock.
        self._paused_until: dict[str, datetime] = {}

    def call(self, tenant_id: str, consent: Consent, request: Callable[[], AccessToken]) -> AccessToken:
        """Request a tenant's token.

        Raises:
            EntraUnavailableError: without a request while Entra wants none.
            TransientError: `consent_spreading`, `credential_spreading`: a refusal that may be temporary; what
                the request raises.
            ConsentRequiredError: what the request raises, if it counts.
            ConfigurationError: the same.
        """
        self._check_pause(tenant_id)
        try:
            return request()
        except TransientError as error:
            self._record_pause(tenant_id, error)
            raise
        except ProblemError as error:
            if not error.replicating or self._is_confirmed(tenant_id, consent):
                raise
            shown = error.params.get("error", error.code)
            code = "credential_spreading" if error.replicating == "credential" else "consent_spreading"
            raise TransientError(code, request_id=error.request_id, error=shown) from error

    def _check_pause(self, tenant_id: str) -> None:
        now = self._system.steady()
        until = self._paused_until.get(tenant_id, now)
        if until > now:
            raise EntraUnavailableError(retry_after=until - now)

    def _record_pause(self, tenant_id: str, error: TransientError) -> None:
        if isinstance(error, EntraUnavailableError) and error.retry_after:
            self._paused_until[tenant_id] = self._system.steady() + error.retry_after

    def _is_confirmed(self, tenant_id: str, consent: Consent) -> bool:
        """Return whether a possibly temporary refusal was repeated.

        The first one is recorded for every process.
        """
        now = self._system.now()
        if is_recent(consent, now):
            return False
        try:
            after = update_settings(
                self._settings, tenant_id, lambda found: record_token_refusal(found, consent.version, now)
            )
        except ProblemError as error:
            log_failed_step("note_refusal", error.code, tenant_id=tenant_id)
            return False
        if after.consent is None or not is_current_consent(after, consent.version):
            return True
        return after.consent.refused_at is not None and now - after.consent.refused_at >= REPEATED_AFTER
