"""The outside as plain memory: one fake a port, each holding what a test wants to look at.

They keep the promises of `shared/ports.py`; `tests/contracts/` runs the same cases on them and on the
real adapters.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, BinaryIO

from shared.config import AppConfig, ClientSecret
from shared.consent.custody import Custody
from shared.consent.flow import ConsentFlow, FlowSecret
from shared.deliveries.delivery import SET_ASIDE, Delivery, DeliveryStatus
from shared.deliveries.ports import DeliveryPage, DeliveryQuery
from shared.errors import PreconditionFailedError, RejectedError, TransientError, UnauthenticatedError
from shared.ports import Issued, Redeemed, SignIn
from shared.sending.pauses import Pauses
from shared.sending.ports import FoundMail, StoredFile
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
    graph_resource="https://graph.microsoft.com",
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
    """Keeps settings; with each entry of `lost` one write is made, and its answer is that error."""

    rows: dict[str, TenantSettings] = field(default_factory=dict)
    lost: list[Exception] = field(default_factory=list)
    versions: Iterable[int] = field(default_factory=lambda: count(1))

    def load(self, tenant_id: str) -> TenantSettings:
        return self.rows.get(tenant_id, TenantSettings(tenant_id))

    def save(self, settings: TenantSettings) -> TenantSettings:
        if self.load(settings.tenant_id).etag != settings.etag:
            raise PreconditionFailedError("settings_changed")
        saved = replace(settings, etag=f"v{next(iter(self.versions))}")
        self.rows[settings.tenant_id] = saved
        if self.lost:
            raise self.lost.pop(0)
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

    def forget(self, before: datetime) -> None:
        for flow_id in [flow.flow_id for flow in self.flows.values() if flow.expires_at < before]:
            del self.flows[flow_id]
            self.secrets.pop(flow_id, None)

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
        self._fail()
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
    hints: list[tuple[str, bool]] = field(default_factory=list)
    roles: frozenset[str] = frozenset({"Mail.Send"})

    def begin(
        self, tenant_id: str, scopes: Iterable[str], state: str, login_hint: str, *, ask_again: bool = False
    ) -> SignIn:
        self._fail()
        self.asked.append(tuple(scopes))
        self.hints.append((login_hint, ask_again))
        address = f"https://login.microsoftonline.com/{tenant_id}/oauth2/v2.0/authorize?state={state}"
        return SignIn(address, {"code_verifier": "verifier", "nonce": "nonce", "state": state})

    def begin_admin_consent(self, tenant_id: str, state: str) -> SignIn:
        return SignIn(f"https://login.microsoftonline.com/{tenant_id}/v2.0/adminconsent?state={state}", {})

    def app_only(self, tenant_id: str) -> Issued:
        self._fail()
        self.refreshed.append("app-only")
        expires_at = self.world.now() + timedelta(hours=1)
        return Issued(f"access-{len(self.refreshed)}", expires_at, self.roles, "")

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
class FakeMail:
    """A message in the fake mailbox."""

    message: dict[str, Any]
    is_draft: bool = True
    files: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass
class FakeUpload:
    """A file on its way to a draft."""

    draft_id: str
    name: str
    size: int
    content: bytes = b""


@dataclass
class FakeGraph:
    """Keeps one mailbox; what it is told to `fail` with, it raises once for each entry.

    `fail` is for whatever is asked next, `fail_at` for one operation, with None for a call that goes well; a
    failure in `after` comes once the operation was carried out.
    """

    sent: list[tuple[str, Sender, bytes]] = field(default_factory=list)
    mails: dict[str, FakeMail] = field(default_factory=dict)
    uploads: dict[str, FakeUpload] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    fail: list[Exception] = field(default_factory=list)
    fail_at: dict[str, list[Exception | None]] = field(default_factory=dict)
    after: dict[str, list[Exception | None]] = field(default_factory=dict)
    numbers: Iterable[int] = field(default_factory=lambda: count(1))

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        self._ask("send_mail")
        self.sent.append((token, sender, body))
        call = json.loads(body)
        if call.get("saveToSentItems", True):
            self.mails[self._id("sent")] = FakeMail(call["message"], is_draft=False)
        self._answer("send_mail")
        return f"graph-request-{len(self.sent)}"

    def create_draft(self, token: str, sender: Sender, message: bytes) -> str:
        self._ask("create_draft")
        draft_id = self._id("draft")
        self.mails[draft_id] = FakeMail(json.loads(message))
        self._answer("create_draft")
        return draft_id

    def attach(self, token: str, sender: Sender, draft_id: str, file: bytes) -> None:
        self._ask("attach")
        built = json.loads(file)
        self._draft(draft_id).files.append((built["name"], base64.b64decode(built["contentBytes"])))
        self._answer("attach")

    def count_attachments(self, token: str, sender: Sender, draft_id: str) -> int:
        self._ask("count_attachments")
        return len(self._draft(draft_id).files)

    def open_upload(self, token: str, sender: Sender, draft_id: str, item: bytes) -> str:
        self._ask("open_upload")
        announced = json.loads(item)["AttachmentItem"]
        url = self._id("https://outlook.office.com/session")
        self.uploads[url] = FakeUpload(draft_id, announced["name"], announced["size"])
        self._answer("open_upload")
        return url

    def put_chunk(self, sender: Sender, url: str, chunk: bytes, first: int, total: int) -> int | None:
        self._ask("put_chunk")
        upload = self.uploads.get(url)
        if upload is None or first != len(upload.content) or total != upload.size:
            raise TransientError("upload_interrupted")
        upload.content += chunk
        done = len(upload.content) == total
        if done:
            self._draft(upload.draft_id).files.append((upload.name, upload.content))
            del self.uploads[url]
        self._answer("put_chunk")
        return None if done else len(upload.content)

    def send_draft(self, token: str, sender: Sender, draft_id: str) -> str:
        self._ask("send_draft")
        self._draft(draft_id).is_draft = False
        self._answer("send_draft")
        return f"graph-request-{draft_id}"

    def find(self, token: str, sender: Sender, key: str) -> tuple[FoundMail, ...]:
        self._ask("find")
        return tuple(
            FoundMail(mail_id, mail.is_draft)
            for mail_id, mail in self.mails.items()
            if mail.message["singleValueExtendedProperties"][0]["value"] == key
        )

    def remove(self, token: str, sender: Sender, draft_id: str) -> None:
        self._ask("remove")
        self.mails.pop(draft_id, None)

    @property
    def drafts(self) -> list[FakeMail]:
        return [mail for mail in self.mails.values() if mail.is_draft]

    def _draft(self, draft_id: str) -> FakeMail:
        if draft_id not in self.mails:
            raise TransientError("draft_lost")
        return self.mails[draft_id]

    def _id(self, kind: str) -> str:
        return f"{kind}-{next(iter(self.numbers))}"

    def _ask(self, operation: str) -> None:
        self.asked.append(operation)
        if self.fail:
            raise self.fail.pop(0)
        _fall(self.fail_at.get(operation))

    def _answer(self, operation: str) -> None:
        _fall(self.after.get(operation))


def _fall(failures: list[Exception | None] | None) -> None:
    """Raise what comes next; None stands for a call that goes well."""
    failure = failures.pop(0) if failures else None
    if failure is not None:
        raise failure


@dataclass
class MemoryOutbox:
    messages: list[tuple[bytes, timedelta]] = field(default_factory=list)

    def put(self, text: bytes, delay: timedelta) -> None:
        self.messages.append((text, delay))


@dataclass
class MemoryFiles:
    blobs: dict[str, bytes] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)

    def find(self, path: str) -> StoredFile:
        content = self._content(path)
        return StoredFile(path, len(content), hashlib.sha256(content).hexdigest())

    def read(self, file: StoredFile, first: int = 0, length: int | None = None) -> bytes:
        self.reads.append(file.path)
        if file.path not in self.blobs or self.find(file.path).version != file.version:
            raise TransientError("file_changed", blob=file.path)
        end = None if length is None else first + length
        return self._content(file.path)[first:end]

    def put(self, path: str, content: BinaryIO) -> None:
        self.blobs[path] = content.read()

    def _content(self, path: str) -> bytes:
        if path not in self.blobs:
            raise RejectedError("attachment_not_found", blob=path)
        return self.blobs[path]


@dataclass
class MemoryTexts:
    kept: dict[tuple[str, str], bytes] = field(default_factory=dict)
    written: dict[tuple[str, str], datetime] = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: NOON

    def keep(self, tenant_id: str, message_id: str, text: bytes) -> None:
        self.kept[tenant_id, message_id] = text
        self.written[tenant_id, message_id] = self.now()

    def load(self, tenant_id: str, message_id: str) -> bytes | None:
        return self.kept.get((tenant_id, message_id))

    def remove(self, tenant_id: str, message_id: str) -> None:
        self.kept.pop((tenant_id, message_id), None)

    def untouched_since(self, moment: datetime) -> Iterator[tuple[str, str]]:
        yield from [mail for mail in self.kept if self.written[mail] < moment]


@dataclass
class MemoryDeliveries:
    """Keeps the rows, and beside them which are set aside and in which state, as the table does."""

    rows: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    aside: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    versions: Iterable[int] = field(default_factory=lambda: count(1))

    def add(self, delivery: Delivery) -> Delivery | None:
        if (delivery.tenant_id, delivery.message_id) in self.rows:
            return None
        return self._write(replace(delivery, stored=None))

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
        listed = tuple(replace(row, history=(), fields=(), etag=None, stored=None) for row in shown)
        return DeliveryPage(listed, str(start + query.limit) if more else None)

    def count(self, tenant_id: str, statuses: Iterable[DeliveryStatus]) -> int:
        wanted = set(statuses)
        return sum(row.tenant_id == tenant_id and row.status in wanted for row in self.aside.values())

    def set_aside(
        self, tenant_id: str, statuses: Iterable[DeliveryStatus], limit: int
    ) -> tuple[Delivery, ...]:
        wanted = set(statuses)
        rows = [row for row in self.aside.values() if row.tenant_id == tenant_id and row.status in wanted]
        oldest_first = sorted(rows, key=lambda row: (row.queued_at, row.message_id))
        return tuple(replace(row, history=(), fields=(), etag=None, stored=None) for row in oldest_first)[
            :limit
        ]

    def finished_before(self, moment: datetime) -> Iterator[Delivery]:
        rows = tuple(self.rows.values())
        yield from (
            replace(row, etag=None, stored=None)
            for row in rows
            if row.status.final and row.updated_at < moment
        )

    def remove(self, delivery: Delivery) -> bool:
        mail = (delivery.tenant_id, delivery.message_id)
        unchanged = mail in self.rows and self.rows[mail].etag == delivery.etag
        return unchanged and self.rows.pop(mail) is not None

    def _write(self, delivery: Delivery) -> Delivery:
        saved = replace(delivery, etag=f"v{next(iter(self.versions))}", stored=delivery.status)
        mail = (delivery.tenant_id, delivery.message_id)
        self.rows[mail] = saved
        if delivery.status in SET_ASIDE:
            self.aside[mail] = saved
        elif delivery.stored in SET_ASIDE:
            self.aside.pop(mail, None)
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
        self.tokens = Custody(self.vault, self.authorizer, self.settings, self.world)
        self.transport = FakeGraph()
        self.outbox = MemoryOutbox()
        self.files = MemoryFiles()
        self.requests = MemoryTexts(now=self.world.now)
        self.drafts = MemoryTexts(now=self.world.now)
        self.pauses = Pauses()
        self.allowed_tenants = self.config.allowed_tenant_ids
        self.message_limit_mb = self.config.mailbox_message_limit_mb
        self.resends_unknown = False
        self.retention_days = self.config.delivery_retention_days
        self.deliveries = MemoryDeliveries()
        self.caller_tokens = FakeCallers()

    @property
    def probes(self) -> Mapping[str, Callable[[], object]]:
        return {"tables": lambda: self.settings.load(CONTOSO), "vault": lambda: self.vault.read("readiness")}

    @property
    def home_tenant(self) -> str:
        return self.config.entra_tenant_id
