"""The directory: tenants, people, mailboxes, groups, rights and apps."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .clock import Clock

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
    """A person or a shared mailbox (`is_person` false: it has no sign-in).

    Attributes:
        address: the primary SMTP address; a guest's is at home, where its mailbox is.
        sign_in_name: the userPrincipalName; empty where it is the address.
        aliases: further addresses of the mailbox, which receive its mail.
        is_guest: invited from another organisation.
        is_admin: administers Microsoft 365, so may consent to anything.
        app_roles: roles of this project's own API, such as `Workspace.Admin`.
        sign_in_problem: the AADSTS number that a sign-in page shows instead of going on, 0 for none.
        refresh_problem: the AADSTS number of the response to every refresh, 0 for none.
        message_limit: the largest message in bytes, base64 growth included.
        room_for_named_properties: whether messages may be written with named properties; each mailbox
            takes a limited number of names. Properties with a tag of their own (0x1045) need none.
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
    room_for_named_properties: bool = True
    sign_in_name: str = ""
    aliases: frozenset[str] = frozenset()
    is_guest: bool = False

    @property
    def principal_name(self) -> str:
        """The name in Graph's paths, which need not be an address of the mailbox."""
        return self.sign_in_name or self.address

    @property
    def signs_in_as(self) -> str:
        """Return the sign-in name; a guest has the one of the home tenant.

        It is shown on Entra's pages and in `preferred_username`.
        """
        return self.address if self.is_guest else self.principal_name

    def has_address(self, address: str) -> bool:
        """Tell whether mail to this address reaches the mailbox."""
        return address.lower() in {self.address.lower(), *map(str.lower, self.aliases)}


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
    """A federated credential; issuer, subject and audience must be equal."""

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
        email_claim: whether its tokens name the account's address, as an optional claim of the registration.
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
    email_claim: bool = True


@dataclass(frozen=True)
class AppRules:
    """The Exchange rules for an app, named as in its registration."""

    exchange_roles: frozenset[str] = frozenset()
    mailbox_scope: frozenset[str] | None = None

    def has_role(self, address: str) -> bool:
        """Tell whether Exchange lets the app use a mailbox regardless of Entra."""
        return address.lower() in {reached.lower() for reached in self.exchange_roles}

    def in_scope(self, address: str) -> bool:
        """Tell whether permissions of Entra apply to a mailbox."""
        scope = self.mailbox_scope
        return scope is None or address.lower() in {reached.lower() for reached in scope}


class Directory:
    """Organisations of one emulator; addresses are not case-sensitive.

    Attributes:
        clock: tells when a right was given; without it every right is an old one.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tenants: dict[str, Tenant] = {}
        self._users: dict[str, User] = {}
        self._groups: dict[str, Group] = {}
        self._apps: dict[str, AppRegistration] = {}
        #: What Exchange lets each app do, with the time of each change.
        self._app_rules: dict[str, list[tuple[datetime | None, AppRules]]] = {}
        self._rights: dict[tuple[Right, str, str], datetime | None] = {}
        self.clock: Clock | None = None

    def add(self, *things: Tenant | User | Group | AppRegistration) -> None:
        """Add an object or replace the one with the same address or id."""
        with self._lock:
            for thing in things:
                match thing:
                    case Tenant():
                        self._tenants[thing.tenant_id] = thing
                    case User():
                        same = thing.tenant_id, thing.address.lower()
                        kept = {
                            key: user
                            for key, user in self._users.items()
                            if (user.tenant_id, user.address.lower()) != same
                        }
                        self._users = kept | {thing.object_id: thing}
                    case Group():
                        self._groups[thing.address.lower()] = thing
                    case AppRegistration():
                        self._apps[thing.client_id] = thing
                        self._record_rules(thing)

    def tenant(self, name: str) -> Tenant | None:
        """Find a tenant by id or domain."""
        with self._lock:
            found = self._tenants.get(name.lower())
            return found or next((t for t in self._tenants.values() if t.domain == name.lower()), None)

    def user(self, name: str, tenant_id: str | None = None) -> User | None:
        """Find a user by object id, address or sign-in name, in one tenant or all."""
        wanted = name.lower()
        return self._first(
            tenant_id, lambda u: wanted in {u.object_id, u.address.lower(), u.principal_name.lower()}
        )

    def user_of_path(self, name: str, tenant_id: str) -> User | None:
        """Find a user as Graph paths do: by object id or sign-in name only."""
        wanted = name.lower()
        return self._first(tenant_id, lambda u: wanted in {u.object_id, u.principal_name.lower()})

    def user_who_signs_in(self, name: str, tenant_id: str | None) -> User | None:
        """Find a user as Entra's pages name it, in the tenant, or else anywhere."""
        wanted = name.lower()

        def is_meant(user: User) -> bool:
            return wanted in {user.object_id, user.signs_in_as.lower()}

        return self._first(tenant_id, is_meant) or self._first(None, is_meant)

    def user_with_address(self, address: str, tenant_id: str) -> User | None:
        """Find a user as mail does: by the primary address or an alias."""
        return self._first(tenant_id, lambda u: u.has_address(address))

    def _first(self, tenant_id: str | None, is_meant: Callable[[User], bool]) -> User | None:
        with self._lock:
            users = [u for u in self._users.values() if tenant_id in (None, u.tenant_id) and is_meant(u)]
        return min(users, key=lambda user: user.is_guest, default=None)

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

    def _record_rules(self, app: AppRegistration) -> None:
        rules = AppRules(app.exchange_roles, app.mailbox_scope)
        known = self._app_rules.setdefault(app.client_id, [])
        if not known or known[-1][1] != rules:
            known.append((self.clock.now() if self.clock else None, rules))

    def app_rules(self, client_id: str, lag: float = 0.0) -> AppRules:
        """Return the Exchange rules for an app; a change counts after `lag`.

        `lag` is in seconds.
        """
        with self._lock:
            known = list(self._app_rules.get(client_id, ()))
        old = [rules for at, rules in known if self._is_effective(at, lag)]
        return old[-1] if old else AppRules()

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
        """Grant a right on an address, as an Exchange admin does."""
        given = self.clock.now() if self.clock else None
        with self._lock:
            self._rights.setdefault((right, on.lower(), to.lower()), given)

    def revoke(self, right: Right, on: str, to: str) -> None:
        """Revoke a right; does nothing for one that was never granted."""
        with self._lock:
            self._rights.pop((right, on.lower(), to.lower()), None)

    def has_right(self, right: Right, on: str, who: str, lag: float = 0.0) -> bool:
        """Tell whether somebody has had a right on an address for `lag` seconds."""
        key = (right, on.lower(), who.lower())
        with self._lock:
            if key not in self._rights:
                return False
            given = self._rights[key]
        return self._is_effective(given, lag)

    def _is_effective(self, at: datetime | None, lag: float) -> bool:
        return at is None or self.clock is None or at + timedelta(seconds=lag) <= self.clock.now()
