"""Who and what a Microsoft 365 holds: tenants, people, mailboxes, groups, rights, app registrations."""

import threading
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

MEGABYTE = 1024 * 1024
# Exchange Online's default; an admin may raise it to 150 MB for a mailbox.
DEFAULT_MESSAGE_LIMIT = 35 * MEGABYTE

type Right = Literal["send_as", "send_on_behalf", "full_access"]
type UserConsent = Literal["microsoft_managed", "anybody", "nobody"]


@dataclass(frozen=True)
class Tenant:
    """An organisation.

    Attributes:
        user_consent: who may agree to delegated permissions. `microsoft_managed` is today's default:
            a user may, except to what reads mail.
        approval_can_return: the approval page has a link back to the app. Off, as with the admin
            consent workflow, the app never hears of the visit again.
    """

    tenant_id: str
    domain: str
    name: str
    user_consent: UserConsent = "microsoft_managed"
    approval_can_return: bool = False


@dataclass(frozen=True)
class User:
    """A person or a shared mailbox (`is_person` false: nobody signs in as it).

    Attributes:
        is_admin: administers Microsoft 365, so may consent to anything.
        app_roles: roles of this project's own API, such as `Workspace.Admin`.
        sign_in_problem: the AADSTS number that a sign-in page shows instead of going on, 0 for none.
        refresh_problem: the AADSTS number that answers every refresh, 0 for none.
        message_limit: the largest message in bytes, base64 growth included.
    """

    object_id: str
    tenant_id: str
    address: str
    display_name: str
    is_person: bool = True
    is_admin: bool = False
    app_roles: frozenset[str] = frozenset()
    has_mailbox: bool = True
    enabled: bool = True
    sign_in_problem: int = 0
    refresh_problem: int = 0
    message_limit: int = DEFAULT_MESSAGE_LIMIT


@dataclass(frozen=True)
class Group:
    """A distribution list: an address without a mailbox."""

    object_id: str
    tenant_id: str
    address: str
    display_name: str


@dataclass(frozen=True)
class Secret:
    """A client secret; `expires` None means not within any test."""

    value: str
    expires: datetime | None = None


@dataclass(frozen=True)
class FederatedCredential:
    """A foreign token that an app accepts in place of a secret; all three must be equal, not similar."""

    issuer: str
    subject: str
    audience: str = "api://AzureADTokenExchange"


@dataclass(frozen=True)
class AppRegistration:
    """An application.

    Attributes:
        certificates: PEM certificates whose keys may sign client assertions.
        delegated_permissions: what `.default` means for a signed-in user.
        application_permissions: what `.default` means for the app alone.
        mailbox_scope: addresses that its application permissions reach, as an application access
            policy restricts them; None means every mailbox.
        exchange_roles: addresses for which Exchange itself (RBAC for Applications) lets it send. This
            adds to what Entra grants, and shows in no token.
    """

    client_id: str
    tenant_id: str
    name: str
    redirect_uris: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    certificates: tuple[bytes, ...] = ()
    federated: tuple[FederatedCredential, ...] = ()
    delegated_permissions: tuple[str, ...] = ("Mail.Send", "User.Read")
    application_permissions: tuple[str, ...] = ("Mail.Send",)
    multi_tenant: bool = False
    enabled: bool = True
    mailbox_scope: frozenset[str] | None = None
    exchange_roles: frozenset[str] = frozenset()


class Directory:
    """The organisations of one stand-in; addresses compare without regard to case."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tenants: dict[str, Tenant] = {}
        self._users: dict[str, User] = {}
        self._groups: dict[str, Group] = {}
        self._apps: dict[str, AppRegistration] = {}
        self._rights: set[tuple[Right, str, str]] = set()

    def add(self, *things: Tenant | User | Group | AppRegistration) -> None:
        """Put something in, or replace what has the same address or id."""
        with self._lock:
            for thing in things:
                match thing:
                    case Tenant():
                        self._tenants[thing.tenant_id] = thing
                    case User():
                        self._users[thing.address.lower()] = thing
                    case Group():
                        self._groups[thing.address.lower()] = thing
                    case AppRegistration():
                        self._apps[thing.client_id] = thing

    def tenant(self, name: str) -> Tenant | None:
        """Find a tenant by id or domain."""
        with self._lock:
            found = self._tenants.get(name.lower())
            return found or next((t for t in self._tenants.values() if t.domain == name.lower()), None)

    def user(self, name: str, tenant_id: str | None = None) -> User | None:
        """Find a person or shared mailbox by address or object id, in one tenant or in all."""
        with self._lock:
            found = self._users.get(name.lower()) or next(
                (u for u in self._users.values() if u.object_id == name.lower()), None
            )
        return found if found and tenant_id in (None, found.tenant_id) else None

    def people(self, tenant_id: str) -> list[User]:
        """List those who can sign in."""
        with self._lock:
            return [u for u in self._users.values() if u.tenant_id == tenant_id and u.is_person]

    def mailboxes(self) -> list[User]:
        """List everyone who has a mailbox."""
        with self._lock:
            return [u for u in self._users.values() if u.has_mailbox]

    def group(self, address: str, tenant_id: str) -> Group | None:
        """Find a distribution list."""
        with self._lock:
            found = self._groups.get(address.lower())
        return found if found and found.tenant_id == tenant_id else None

    def app(self, client_id: str) -> AppRegistration | None:
        """Find an app registration; `api://<client id>` names it too."""
        with self._lock:
            return self._apps.get(client_id.removeprefix("api://"))

    def change_tenant(self, name: str, **fields: Any) -> Tenant:
        """Change a tenant's fields; KeyError for an unknown one."""
        return self._changed(self.tenant(name), name, fields)

    def change_user(self, name: str, **fields: Any) -> User:
        """Change a user's fields; KeyError for an unknown one."""
        return self._changed(self.user(name), name, fields)

    def change_app(self, client_id: str, **fields: Any) -> AppRegistration:
        """Change an app's fields; KeyError for an unknown one."""
        return self._changed(self.app(client_id), client_id, fields)

    def _changed[T: (Tenant, User, AppRegistration)](
        self, found: T | None, name: str, fields: dict[str, Any]
    ) -> T:
        if found is None:
            raise KeyError(name)
        changed = replace(found, **fields)
        self.add(changed)
        return changed

    def grant(self, right: Right, on: str, to: str) -> None:
        """Give somebody a right on an address, as an Exchange admin does."""
        with self._lock:
            self._rights.add((right, on.lower(), to.lower()))

    def revoke(self, right: Right, on: str, to: str) -> None:
        """Take a right back; taking what was never given does nothing."""
        with self._lock:
            self._rights.discard((right, on.lower(), to.lower()))

    def may(self, right: Right, on: str, who: str) -> bool:
        """Say whether somebody holds a right on an address."""
        with self._lock:
            return (right, on.lower(), who.lower()) in self._rights
