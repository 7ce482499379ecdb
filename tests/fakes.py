"""The outside as plain memory: one fake a port, each holding what a test wants to look at.

They keep the promises of `shared/ports.py`; `tests/contracts/` runs the same cases on them and on the
real adapters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from shared.config import AppConfig, ClientSecret
from shared.consent.custody import Custody
from shared.consent.flow import ConsentFlow, FlowSecret
from shared.deliveries.delivery import Delivery, DeliveryStatus
from shared.errors import PreconditionFailedError, RejectedError, UnauthenticatedError
from shared.ports import DeliveryPage, DeliveryQuery, Issued, Redeemed, SignIn
from shared.settings.sender import Sender
from shared.settings.tenant import Account, TenantSettings

CONTOSO = "6f1c0000-0000-4000-8000-0000000c0701"
FABRIKAM = "6f1c0000-0000-4000-8000-0000000fab71"
CLIENT_ID = "11111111-2222-4333-8444-555555555555"
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

CONFIG = AppConfig(
    entra_tenant_id=CONTOSO,
    entra_client_id=CLIENT_ID,
    credential=ClientSecret("app-secret"),
    authority_host="https://login.microsoftonline.com",
    graph_endpoint="https://graph.microsoft.com",
    allowed_tenant_ids=frozenset({CONTOSO, FABRIKAM}),
    api_audience=CLIENT_ID,
    admin_role="Workspace.Admin",
    public_base_url="https://mailer.contoso.com",
    frontend_origins=("https://inforiver.contoso.com",),
    key_vault_url="https://mailer.vault.azure.net",
    identity_client_id=None,
    on_unknown_outcome="hold",
    mailbox_message_limit_mb=35,
    delivery_retention_days=90,
)


@dataclass
class FakeWorld:
    """A clock that stands still until it is moved, and values that can be told apart."""

    time: datetime = NOON
    chance: float = 0.0
    _numbers: Iterable[int] = field(default_factory=lambda: count(1))

    def now(self) -> datetime:
        return self.time

    def secret(self) -> str:
        return f"secret-{self._next():04d}"

    def identifier(self) -> str:
        return f"00000000-0000-4000-8000-{self._next():012d}"

    def jitter(self) -> float:
        return self.chance

    def pass_time(self, wait: timedelta) -> None:
        self.time += wait

    def _next(self) -> int:
        return next(iter(self._numbers))


@dataclass
class MemorySettings:
    rows: dict[str, TenantSettings] = field(default_factory=dict)
    versions: Iterable[int] = field(default_factory=lambda: count(1))

    def load(self, tenant_id: str) -> TenantSettings:
        return self.rows.get(tenant_id, TenantSettings(tenant_id))

    def save(self, settings: TenantSettings) -> TenantSettings:
        if self.load(settings.tenant_id).etag != settings.etag:
            raise PreconditionFailedError("settings_changed")
        saved = replace(settings, etag=f"v{next(iter(self.versions))}")
        self.rows[settings.tenant_id] = saved
        return saved

    def tenants(self) -> tuple[str, ...]:
        return tuple(self.rows)


@dataclass
class MemoryFlows:
    flows: dict[str, ConsentFlow] = field(default_factory=dict)
    secrets: dict[str, FlowSecret] = field(default_factory=dict)
    versions: Iterable[int] = field(default_factory=lambda: count(1))

    def add(self, flow: ConsentFlow, secret: FlowSecret) -> None:
        self.flows[flow.flow_id] = flow
        self._keep(secret)

    def flow(self, flow_id: str) -> ConsentFlow | None:
        return self.flows.get(flow_id)

    def save(self, flow: ConsentFlow) -> None:
        self.flows[flow.flow_id] = flow

    def secret(self, flow_id: str) -> FlowSecret | None:
        return self.secrets.get(flow_id)

    def replace_secret(self, secret: FlowSecret) -> bool:
        known = self.secrets.get(secret.flow_id)
        if known is None or known.etag != secret.etag:
            return False
        self._keep(secret)
        return True

    def take_secret(self, secret: FlowSecret) -> bool:
        known = self.secrets.get(secret.flow_id)
        if known is None or known.etag != secret.etag:
            return False
        del self.secrets[secret.flow_id]
        return True

    def _keep(self, secret: FlowSecret) -> None:
        self.secrets[secret.flow_id] = replace(secret, etag=f"v{next(iter(self.versions))}")


@dataclass
class MemoryVault:
    """Keeps secrets; what it is told to `fail` with, it raises once for each entry."""

    secrets: dict[str, str] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    recoverable_until: datetime | None = None
    fail: list[Exception] = field(default_factory=list)

    def read(self, name: str) -> str | None:
        self._fail()
        return self.secrets.get(name)

    def write(self, name: str, tokens: str) -> None:
        self._fail()
        self.secrets[name] = tokens

    def delete(self, name: str) -> datetime | None:
        self._fail()
        if self.secrets.pop(name, None) is not None:
            self.deleted.append(name)
            return self.recoverable_until
        return None

    def names(self, tenant_id: str) -> tuple[str, ...]:
        return tuple(name for name in self.secrets if name.startswith(f"smtp-{tenant_id}-"))

    def _fail(self) -> None:
        if self.fail:
            raise self.fail.pop(0)


@dataclass
class FakeEntra:
    """Has everybody consent at once; what it is told to `fail` with, it raises once for each entry."""

    world: FakeWorld
    account: Account = field(default_factory=lambda: Account("ada-object-id", CONTOSO, "ada@contoso.com"))
    granted: frozenset[str] | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    fail: list[Exception] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def begin(self, tenant_id: str, scopes: Iterable[str], state: str, login_hint: str) -> SignIn:
        self._fail()
        self.asked.append(tuple(scopes))
        address = f"https://login.microsoftonline.com/{tenant_id}/oauth2/v2.0/authorize?state={state}"
        return SignIn(address, {"code_verifier": "verifier", "nonce": "nonce", "state": state})

    def redeem(self, tenant_id: str, proof: Mapping[str, Any], reply: Mapping[str, str]) -> Redeemed:
        self._fail()
        claims = {
            "tid": tenant_id,
            "aud": CLIENT_ID,
            "iss": f"https://login.microsoftonline.com/{tenant_id}/v2.0",
            "exp": int((self.world.now() + timedelta(hours=1)).timestamp()),
            "oid": self.account.object_id,
            "preferred_username": self.account.username,
        }
        granted = self.granted if self.granted is not None else frozenset(self.asked[-1])
        return Redeemed({**claims, **self.claims}, granted, f"tokens-of-{reply['code']}")

    def refresh(self, tenant_id: str, tokens: str, account: Account, scopes: Iterable[str]) -> Issued:
        self._fail()
        self.refreshed.append(tokens)
        expires_at = self.world.now() + timedelta(hours=1)
        return Issued(f"access-{len(self.refreshed)}", expires_at, frozenset(scopes), f"{tokens}+")

    def _fail(self) -> None:
        if self.fail:
            raise self.fail.pop(0)


@dataclass
class FakeCallers:
    """Knows some tokens by heart."""

    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def verify(self, token: str) -> Mapping[str, Any]:
        if token not in self.tokens:
            raise UnauthenticatedError("token_invalid")
        return self.tokens[token]


@dataclass
class FakeGraph:
    """Accepts mail; what it is told to `fail` with, it raises once for each entry."""

    sent: list[tuple[str, Sender, bytes]] = field(default_factory=list)
    fail: list[Exception] = field(default_factory=list)

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        if self.fail:
            raise self.fail.pop(0)
        self.sent.append((token, sender, body))
        return f"graph-request-{len(self.sent)}"


@dataclass
class MemoryOutbox:
    messages: list[tuple[bytes, timedelta]] = field(default_factory=list)

    def put(self, text: bytes, delay: timedelta) -> None:
        self.messages.append((text, delay))


@dataclass
class MemoryFiles:
    blobs: dict[str, bytes] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)

    def size(self, path: str) -> int:
        return len(self._find(path))

    def read(self, path: str) -> bytes:
        self.reads.append(path)
        return self._find(path)

    def _find(self, path: str) -> bytes:
        if path not in self.blobs:
            raise RejectedError("attachment_not_found", blob=path)
        return self.blobs[path]


@dataclass
class MemoryRequests:
    kept: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def keep(self, tenant_id: str, message_id: str, text: bytes) -> None:
        self.kept[tenant_id, message_id] = text

    def load(self, tenant_id: str, message_id: str) -> bytes | None:
        return self.kept.get((tenant_id, message_id))

    def remove(self, tenant_id: str, message_id: str) -> None:
        self.kept.pop((tenant_id, message_id), None)


@dataclass
class MemoryDeliveries:
    rows: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    versions: Iterable[int] = field(default_factory=lambda: count(1))

    def add(self, delivery: Delivery) -> Delivery | None:
        if (delivery.tenant_id, delivery.message_id) in self.rows:
            return None
        return self._write(delivery)

    def save(self, delivery: Delivery) -> Delivery | None:
        known = self.find(delivery.tenant_id, delivery.message_id)
        if known is None or known.etag != delivery.etag:
            return None
        return self._write(delivery)

    def find(self, tenant_id: str, message_id: str) -> Delivery | None:
        return self.rows.get((tenant_id, message_id))

    def list(self, query: DeliveryQuery) -> DeliveryPage:
        newest_first = sorted(
            self.rows.values(), key=lambda row: (-row.queued_at.timestamp(), row.message_id)
        )
        fitting = [row for row in newest_first if _fits(row, query)]
        start = int(query.continuation or 0)
        shown = fitting[start : start + query.limit]
        more = start + query.limit < len(fitting)
        listed = tuple(replace(row, history=(), fields=(), etag=None) for row in shown)
        return DeliveryPage(listed, str(start + query.limit) if more else None)

    def count(self, tenant_id: str, statuses: Iterable[DeliveryStatus]) -> int:
        wanted = set(statuses)
        return sum(row.tenant_id == tenant_id and row.status in wanted for row in self.rows.values())

    def _write(self, delivery: Delivery) -> Delivery:
        saved = replace(delivery, etag=f"v{next(iter(self.versions))}")
        self.rows[delivery.tenant_id, delivery.message_id] = saved
        return saved


def _fits(row: Delivery, query: DeliveryQuery) -> bool:
    return (
        row.tenant_id == query.tenant_id
        and (query.status is None or row.status is query.status)
        and (query.since is None or row.queued_at >= query.since)
        and (query.until is None or row.queued_at < query.until)
    )


class FakeServices:
    """Every port in memory, in the shape of `bootstrap.Services`."""

    def __init__(self) -> None:
        self.world = FakeWorld()
        self.config = CONFIG
        self.settings = MemorySettings()
        self.flows = MemoryFlows()
        self.vault = MemoryVault()
        self.authorizer = FakeEntra(self.world)
        self.tokens = Custody(self.vault, self.authorizer, self.world)
        self.transport = FakeGraph()
        self.outbox = MemoryOutbox()
        self.files = MemoryFiles()
        self.requests = MemoryRequests()
        self.deliveries = MemoryDeliveries()
        self.caller_tokens = FakeCallers()

    @property
    def allowed_tenants(self) -> frozenset[str]:
        return self.config.allowed_tenant_ids

    @property
    def home_tenant(self) -> str:
        return self.config.entra_tenant_id
