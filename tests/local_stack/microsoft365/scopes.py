"""Permissions as Entra reads them: resource, names, consent; pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from .directory import UserConsent

GRAPH = "https://graph.microsoft.com"
GRAPH_ALIASES = frozenset(
    {
        GRAPH,
        "https://graph.microsoft.us",
        "https://dod-graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
        "00000003-0000-0000-c000-000000000000",
    }
)
OIDC = frozenset({"openid", "profile", "email", "offline_access"})
GRAPH_PERMISSIONS = {
    "Mail.Send": "Send mail as you",
    "Mail.Send.Shared": "Send mail on behalf of others or yourself",
    "Mail.ReadWrite": "Read and write access to your mail",
    "Mail.ReadWrite.Shared": "Read and write mail you have access to",
    "Mail.Read": "Read your mail",
    "Mail.Read.Shared": "Read mail you have access to",
    "Mail.ReadBasic": "Read your basic mail",
    "MailboxSettings.Read": "Read your mailbox settings",
    "User.Read": "Sign you in and read your profile",
    "User.ReadBasic.All": "Read all users' basic profiles",
}
APPLICATION_PERMISSIONS = {
    "Mail.Send": "Send mail as any user",
    "Mail.ReadWrite": "Read and write mail in all mailboxes",
    "Mail.Read": "Read mail in all mailboxes",
    "Mail.ReadBasic.All": "Read basic mail in all mailboxes",
    "User.Read.All": "Read all users' full profiles",
}
DEFAULT = ".default"
_OWN_SPELLING = {name.lower(): name for name in (*GRAPH_PERMISSIONS, *APPLICATION_PERMISSIONS)}
_NEEDS_ADMIN = ("mail.read", "mailboxsettings")


@dataclass(frozen=True)
class Scope:
    """One permission of one resource."""

    resource: str
    name: str


@dataclass(frozen=True)
class ScopeRequest:
    """The request in a `scope` parameter.

    Attributes:
        sign_in: the OpenID Connect scopes.
        permissions: the others, in the order of the request.
        prefix: the resource as it was spelt in front of a permission, as in `https://.../Mail.Send`; empty
            for the short names. Entra responds in the spelling of the request.
    """

    sign_in: frozenset[str]
    permissions: tuple[Scope, ...]
    prefix: str = ""

    @property
    def resources(self) -> list[str]:
        """Return the distinct resources in order of the request."""
        return list(dict.fromkeys(scope.resource for scope in self.permissions))


def parse(text: str, graph_names: Collection[str] = ()) -> ScopeRequest:
    """Parse a space-separated `scope`; `graph_names` are aliases of Graph."""
    items = text.split()
    permissions = [_scope(item, graph_names) for item in items if item not in OIDC]
    return ScopeRequest(
        frozenset(items) & OIDC,
        tuple(dict.fromkeys(permissions)),
        next((item.rpartition("/")[0] for item in items if "/" in item), ""),
    )


def _scope(item: str, graph_names: Collection[str]) -> Scope:
    resource, slash, name = item.rpartition("/")
    root = resource.rstrip("/") if slash else GRAPH
    if root in GRAPH_ALIASES or root in graph_names:
        root = GRAPH
    return Scope(root, _OWN_SPELLING.get(name.lower(), name) if root == GRAPH else name)


def mixes_default(permissions: Iterable[Scope]) -> bool:
    """Tell whether `.default` is combined with another permission.

    Only permissions of the same resource count.
    """
    names = list(permissions)
    whole = {p.resource for p in names if p.name == DEFAULT}
    return any(p.resource in whole and p.name != DEFAULT for p in names)


def unknown(permissions: Iterable[Scope]) -> list[str]:
    """Return the Graph permissions that do not exist."""
    return [
        p.name
        for p in permissions
        if p.resource == GRAPH and p.name != DEFAULT and p.name not in GRAPH_PERMISSIONS
    ]


def needs_admin(scope: Scope, policy: UserConsent) -> bool:
    """Tell whether the consent of an ordinary user is not enough.

    The Microsoft-managed policy leaves out Mail.Read, Mail.ReadWrite, Mail.ReadBasic, their shared forms
    and MailboxSettings, but neither Mail.Send nor Mail.Send.Shared
    (https://learn.microsoft.com/entra/identity/enterprise-apps/manage-app-consent-policies).
    """
    if policy == "nobody":
        return True
    return policy == "microsoft_managed" and scope.name.lower().startswith(_NEEDS_ADMIN)
