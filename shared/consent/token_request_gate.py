"""Decide when to request a token from Entra, and which refusals count.

If Entra asks the app to wait, no request is sent until the wait is over, because each request would prolong
it.

After a consent, some servers of Entra may not know the consent or the app yet (microsoft-graph-docs#4765,
#10907, MSAL .NET #2612, #3706). The same applies to a credential of the app that was just replaced. So a
refusal for such a reason counts only if it is repeated minutes later, and never in the first minutes after a
consent.

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
from shared.time_limit import acquire_in_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.consent.ports import AccessToken
    from shared.settings.ports import SettingsStore
    from shared.settings.tenant import Consent
    from shared.system import System

#: How long after a consent a refusal does not count. According to reports, Entra's servers take minutes to
#: know a consent. The callback has waited for one of them already.
PROPAGATION_TIME = timedelta(minutes=15)
#: A refusal counts if it is repeated after at least this time.
MIN_TIME_BETWEEN_REFUSALS = timedelta(minutes=5)
#: The tolerated difference between the clocks of two hosts.
_CLOCK_SKEW = timedelta(hours=1)


def is_recent(consent: Consent, now: datetime) -> bool:
    """Return whether some servers of Entra may not know the consent yet."""
    return -_CLOCK_SKEW <= now - consent.consented_at < PROPAGATION_TIME


class RequestTurn:
    """Lets one thread at a time request a token for a tenant.

    If the request fails, the threads that waited for it get the same error. A request that gets no response
    takes half a minute. If each of forty mails then made a request of its own, one after the other, they
    would exceed every time limit.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: list[TransientError] = []

    @property
    def is_taken(self) -> bool:
        """Whether a request is in progress."""
        return self._lock.locked()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for this caller's turn.

        Raises:
            TransientError: the request of the thread that this one waited for failed.
        """
        before = self._failures
        with acquire_in_time(self._lock):
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
            EntraUnavailableError: no request was sent, because Entra asked the app to wait.
            TransientError: `consent_spreading`, `credential_spreading`: Entra refused the request, maybe
                temporarily; or another error of the request.
            ConsentRequiredError: Entra refused the request, and the refusal counts.
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
        """Return whether a refusal that may be temporary was repeated.

        The first refusal is stored in the settings, so that every process knows when it happened.
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
        return (
            after.consent.refused_at is not None
            and now - after.consent.refused_at >= MIN_TIME_BETWEEN_REFUSALS
        )
