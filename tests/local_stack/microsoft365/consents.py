"""Which permissions were agreed to, by whom and for whom."""

import threading
from collections.abc import Iterable

from .scopes import Scope

#: Stands for every user of the tenant.
EVERYBODY = "*"


class Consents:
    """The grants that Entra keeps for app registrations."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._delegated: set[tuple[str, str, str, Scope]] = set()
        self._application: set[tuple[str, str, str]] = set()

    def grant(self, client_id: str, tenant_id: str, who: str, scopes: Iterable[Scope]) -> None:
        """Let an app act for a user (object id) or for `EVERYBODY`."""
        with self._lock:
            self._delegated |= {(client_id, tenant_id, who, scope) for scope in scopes}

    def revoke(self, client_id: str, tenant_id: str, who: str, names: Iterable[str] = ()) -> None:
        """Take back what was granted to a user or to `EVERYBODY`: the named permissions, or all of them."""
        wanted = set(names)
        with self._lock:
            self._delegated = {
                kept
                for kept in self._delegated
                if kept[:3] != (client_id, tenant_id, who) or (wanted and kept[3].name not in wanted)
            }

    def delegated(self, client_id: str, tenant_id: str, who: str) -> set[Scope]:
        """Say what an app may do for a user, by the user's own agreement and the tenant's."""
        with self._lock:
            return {
                scope
                for client, tenant, user, scope in self._delegated
                if (client, tenant) == (client_id, tenant_id) and user in (who, EVERYBODY)
            }

    def grant_application(self, client_id: str, tenant_id: str, roles: Iterable[str]) -> None:
        """Let an app act by itself on Graph."""
        with self._lock:
            self._application |= {(client_id, tenant_id, role) for role in roles}

    def revoke_application(self, client_id: str, tenant_id: str) -> None:
        """Take every application permission back."""
        with self._lock:
            self._application = {g for g in self._application if g[:2] != (client_id, tenant_id)}

    def application(self, client_id: str, tenant_id: str) -> list[str]:
        """List the application permissions on Graph."""
        with self._lock:
            return sorted(
                r for client, tenant, r in self._application if (client, tenant) == (client_id, tenant_id)
            )
