"""Permissions of Azure's built-in roles on queues, containers, tables.

Sources, for the actions of a role and for those that an operation needs:
https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/storage
https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from shared.storage_names import ATTACHMENTS, MAIL_OUTBOX

type Service = Literal["blob", "queue", "table"]
#: The actions of which an operation needs all, or one of several such sets.
type Needs = tuple[frozenset[str], ...]

SENDER = "Storage Queue Data Message Sender"
PROCESSOR = "Storage Queue Data Message Processor"
QUEUE_CONTRIBUTOR = "Storage Queue Data Contributor"
BLOB_READER = "Storage Blob Data Reader"
BLOB_CONTRIBUTOR = "Storage Blob Data Contributor"
BLOB_OWNER = "Storage Blob Data Owner"
TABLE_CONTRIBUTOR = "Storage Table Data Contributor"

#: The actions of each role, without the prefix `Microsoft.Storage/storageAccounts/<service>Services/`.
ROLES: Mapping[str, frozenset[str]] = {
    SENDER: frozenset({"queues/messages/add"}),
    PROCESSOR: frozenset({"queues/messages/read", "queues/messages/process"}),
    QUEUE_CONTRIBUTOR: frozenset(
        {
            *("queues/read", "queues/write", "queues/delete"),
            *("queues/messages/read", "queues/messages/write", "queues/messages/delete"),
            "queues/messages/process",
        }
    ),
    BLOB_READER: frozenset({"containers/read", "blobs/read"}),
    BLOB_CONTRIBUTOR: frozenset(
        {
            *("containers/read", "containers/write", "containers/delete"),
            *("blobs/read", "blobs/write", "blobs/delete", "blobs/add", "blobs/move"),
        }
    ),
    BLOB_OWNER: frozenset(
        {
            *("containers/read", "containers/write", "containers/delete"),
            *("blobs/read", "blobs/write", "blobs/delete", "blobs/add", "blobs/move"),
            *("blobs/tags/read", "blobs/tags/write"),
        }
    ),
    TABLE_CONTRIBUTOR: frozenset({"tables/read", "tables/write", "tables/delete"}),
}

_QUEUE = "queues/messages"
_MESSAGE_NEEDS: Mapping[str, Needs] = {
    "POST messages": (frozenset({f"{_QUEUE}/add"}), frozenset({f"{_QUEUE}/write"})),
    "PEEK messages": (frozenset({f"{_QUEUE}/read"}),),
    "GET messages": (
        frozenset({f"{_QUEUE}/process"}),
        frozenset({f"{_QUEUE}/read", f"{_QUEUE}/delete"}),
    ),
    "DELETE messages": (frozenset({f"{_QUEUE}/delete"}),),
    "DELETE message": (frozenset({f"{_QUEUE}/process"}), frozenset({f"{_QUEUE}/delete"})),
    "PUT message": (frozenset({f"{_QUEUE}/write"}),),
}
_LEVEL = {"GET": "read", "HEAD": "read", "PUT": "write", "DELETE": "delete"}
#: `comp` of a request on a blob that changes or reads it in part.
_BLOB_PARTS = frozenset({"", "block", "blocklist", "metadata", "properties", "lease", "page", "appendblock"})
#: `comp` of a request on a container itself.
_CONTAINER_PARTS = frozenset({"", "metadata", "lease", "acl"})


@dataclass(frozen=True)
class RoleAssignment:
    """A role of one identity.

    Attributes:
        role: the name of a built-in role.
        scope: `queue/<name>` or `container/<name>`; empty for the whole account.
        path_prefix: of the blobs that a condition of the assignment leaves in reach; empty for all.
    """

    role: str
    scope: str = ""
    path_prefix: str = ""


#: The local installation's queue in which schedulers read how their mails ended.
OUTCOMES = "mail-outcomes"
#: As infra/modules/roles.bicep gives them.
SCHEDULER_ROLES = (
    RoleAssignment(SENDER, f"queue/{MAIL_OUTBOX}"),
    RoleAssignment(BLOB_CONTRIBUTOR, f"container/{ATTACHMENTS}"),
    RoleAssignment(PROCESSOR, f"queue/{OUTCOMES}"),
)
APP_ROLES = tuple(RoleAssignment(role) for role in (BLOB_OWNER, QUEUE_CONTRIBUTOR, TABLE_CONTRIBUTOR))


@dataclass(frozen=True)
class StorageRequest:
    """The parts of a request that decide whether it is allowed.

    Attributes:
        path: behind the account's name, decoded: `mail-outbox/messages`, `attachments/a/b.pdf`.
        query: the parameters; of several with one name the last.
    """

    service: Service
    method: str
    path: str
    query: Mapping[str, str]

    @property
    def resource(self) -> str:
        """The queue or container as a scope; empty for the account and for tables."""
        name = self.path.partition("/")[0]
        kind = {"queue": "queue", "blob": "container"}.get(self.service)
        return f"{kind}/{name}" if kind and name else ""

    @property
    def blob(self) -> str:
        """The path of the blob; for a list its prefix."""
        return self.path.partition("/")[2] or self.query.get("prefix", "")


def allows(assignments: Iterable[RoleAssignment], request: StorageRequest) -> bool:
    """Tell whether the roles of an identity allow a request."""
    granted = {
        action
        for each in assignments
        if each.scope in ("", request.resource)
        for action in ROLES[each.role]
        if not action.startswith("blobs/") or request.blob.startswith(each.path_prefix)
    }
    return any(needed <= granted for needed in _needs(request))


def _needs(request: StorageRequest) -> Needs:
    """Return the required actions; none suffice for an unknown request."""
    match request.service:
        case "queue":
            return _queue_needs(request)
        case "blob":
            return _blob_needs(request)
        case "table":
            level = "write" if request.method in ("POST", "MERGE", "PATCH") else _LEVEL.get(request.method)
            return _one(f"tables/{level}")


def _queue_needs(request: StorageRequest) -> Needs:
    name, _, rest = request.path.partition("/")
    if not rest:
        level = "write" if request.method == "POST" else _LEVEL.get(request.method)
        return _one(f"queues/{level}" if name else "queues/read")
    peeks = request.query.get("peekonly", "").lower() == "true"
    kind = "messages" if rest == "messages" else "message"
    return _MESSAGE_NEEDS.get(f"{'PEEK' if peeks else request.method} {kind}", ())


def _blob_needs(request: StorageRequest) -> Needs:
    container, _, blob = request.path.partition("/")
    part = request.query.get("comp", "").lower()
    level = _LEVEL.get(request.method, "")
    if not container:
        return _one("containers/read") if request.method == "GET" else ()
    if not blob:
        if part == "list":
            return _one("blobs/read")
        return _one(f"containers/{level}") if part in _CONTAINER_PARTS else ()
    if part == "tags":
        return _one(f"blobs/tags/{level}")
    return _one(f"blobs/{level}") if part in _BLOB_PARTS else ()


def _one(action: str) -> Needs:
    return (frozenset({action}),)
