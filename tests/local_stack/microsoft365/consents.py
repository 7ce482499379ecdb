"""Which permissions were agreed to, by whom and for whom."""

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

from .clock import Clock
from .scopes import Scope

#: Stands for every user of the tenant.
EVERYBODY = "*"


class Consents:
    """Grants of app registrations in Entra, with their times.

    A grant appears in tokens after a while: `lag` is the age in seconds at which it counts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._delegated: dict[tuple[str, str, str, Scope], datetime] = {}
        self._application: dict[tuple[str, str, str], datetime] = {}
        #: Apps that an admin of the tenant removed from the enterprise applications.
        self._removed: set[tuple[str, str]] = set()

    def grant(self, client_id: str, tenant_id: str, who: str, scopes: Iterable[Scope]) -> None:
        """Let an app act for a user (object id) or for `EVERYBODY`."""
        with self._lock:
            self._removed.discard((client_id, tenant_id))
            for scope in scopes:
                self._delegated.setdefault((client_id, tenant_id, who, scope), self._clock.now())

    def revoke(self, client_id: str, tenant_id: str, who: str, names: Iterable[str] = ()) -> None:
        """Revoke named or all permissions of a user or of `EVERYBODY`."""
        wanted = set(names)
        with self._lock:
            self._delegated = {
                kept: at
                for kept, at in self._delegated.items()
                if kept[:3] != (client_id, tenant_id, who) or (wanted and kept[3].name not in wanted)
            }

    def clear(self) -> None:
        """Delete every grant and every record of a removed app."""
        with self._lock:
            self._delegated.clear()
            self._application.clear()
            self._removed.clear()

    def delegated(self, client_id: str, tenant_id: str, who: str, lag: float = 0.0) -> set[Scope]:
        """Return the delegated permissions of an app by user and tenant consent."""
        with self._lock:
            return {
                scope
                for (client, tenant, user, scope), at in self._delegated.items()
                if (client, tenant) == (client_id, tenant_id)
                and user in (who, EVERYBODY)
                and self._is_effective(at, lag)
            }

    def grant_application(self, client_id: str, tenant_id: str, roles: Iterable[str]) -> None:
        """Let an app call Graph with its own permissions."""
        with self._lock:
            self._removed.discard((client_id, tenant_id))
            for role in roles:
                self._application.setdefault((client_id, tenant_id, role), self._clock.now())

    def revoke_application(self, client_id: str, tenant_id: str) -> None:
        """Revoke every application permission."""
        with self._lock:
            self._application = {
                kept: at for kept, at in self._application.items() if kept[:2] != (client_id, tenant_id)
            }

    def application(self, client_id: str, tenant_id: str, lag: float = 0.0) -> list[str]:
        """List the application permissions on Graph."""
        with self._lock:
            return sorted(
                role
                for (client, tenant, role), at in self._application.items()
                if (client, tenant) == (client_id, tenant_id) and self._is_effective(at, lag)
            )

    def remove_app(self, client_id: str, tenant_id: str) -> None:
        """Remove an enterprise application with its grants.

        A new grant adds it again.
        """
        app = client_id, tenant_id
        with self._lock:
            self._delegated = {kept: at for kept, at in self._delegated.items() if kept[:2] != app}
            self._application = {kept: at for kept, at in self._application.items() if kept[:2] != app}
            self._removed.add(app)

    def knows_app(self, client_id: str, tenant_id: str, lag: float) -> bool:
        """Tell whether the service principal of an app is old enough.

        The first grant to an app in a tenant creates it.
        """
        with self._lock:
            given = [at for key, at in self._delegated.items() if key[:2] == (client_id, tenant_id)]
            given += [at for key, at in self._application.items() if key[:2] == (client_id, tenant_id)]
            removed = (client_id, tenant_id) in self._removed
        return not removed and (not given or self._is_effective(min(given), lag))

    def _is_effective(self, at: datetime, lag: float) -> bool:
        return at + timedelta(seconds=lag) <= self._clock.now()
