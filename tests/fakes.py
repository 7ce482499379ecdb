"""The outside as plain memory: one fake a port, each holding what a test wants to look at.

They keep the promises of `shared/ports.py`; `tests/contracts/` runs the same cases on them and on the
real adapters.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, BinaryIO

from shared.client_credential import ClientSecret
from shared.config import AppConfig
from shared.consent.confirming import MAX_WAITING
from shared.consent.flow import ConsentFlow, FlowSecret
from shared.consent.ports import AccessToken, AuthorizationRequest, DeletedTokens, TokenResponse
from shared.consent.token_cache import AccessTokenCache
from shared.deliveries.delivery import PENDING, Delivery, DeliveryStatus
from shared.deliveries.ports import DeliveryPage, DeliveryQuery
from shared.errors import (
    ConfigurationError,
    MissingFileError,
    PreconditionFailedError,
    RejectedError,
    TransientError,
    UnauthenticatedError,
)
from shared.mail.payload import KEY_PROPERTY
from shared.mail.ports import StoredFile
from shared.outbox import Backlog
from shared.refusal_counter import RefusalCounter
from shared.sending.claim_memory import ClaimMemory
from shared.sending.ports import FoundMail
from shared.sending.schedule import Schedule
from shared.sending.throttle import Throttle
from shared.settings.installation import Installation
from shared.settings.operator_log import OperatorAction
from shared.settings.sender import Sender
from shared.settings.sending_switch import SendingPause, SendingSwitch
from shared.settings.tenant import Account, TenantSettings

CONTOSO = "6f1c0000-0000-4000-8000-0000000c0701"
FABRIKAM = "6f1c0000-0000-4000-8000-0000000fab71"
CLIENT_ID = "11111111-2222-4333-8444-555555555555"
STORAGE_ACCOUNT = "stmailer"
INSTALLATION = Installation(CLIENT_ID, STORAGE_ACCOUNT)
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
    required_api_scope="settings",
    allowed_client_ids=frozenset(),
    public_base_url="https://mailer.contoso.com",
    frontend_origins=("https://inforiver.contoso.com",),
    key_vault_url="https://mailer.vault.azure.net",
    identity_client_id=None,
    on_unknown_outcome="hold",
    mailbox_message_limit_mb=35,
    delivery_retention_days=90,
)


@dataclass
class FakeSystem:
    """A clock that only a test advances, and distinguishable values."""

    time: datetime = NOON
    chance: float = 0.0
    slept: list[float] = field(default_factory=list)
    passed: timedelta = timedelta(0)
    _numbers: Iterable[int] = field(default_factory=lambda: count(1))

    def now(self) -> datetime:
        return self.time

    def steady(self) -> datetime:
        return NOON + self.passed

    def random_token(self) -> str:
        return f"secret-{self._next():04d}"

    def new_id(self) -> str:
        return f"00000000-0000-4000-8000-{self._next():012d}"

    def jitter(self) -> float:
        return self.chance

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_time(timedelta(seconds=seconds))

    def pass_time(self, wait: timedelta) -> None:
        self.time += wait
        self.passed += wait

    def set_clock(self, by: timedelta) -> None:
        """Set the clock forward or back, while no time passes."""
        self.time += by

    def _next(self) -> int:
        return next(iter(self._numbers))


@dataclass
class MemorySettings:
    """Keeps settings; with each entry of `lost` one write is made, and its answer is that error."""

    rows: dict[str, TenantSettings] = field(default_factory=dict)
    lost: list[Exception] = field(default_factory=list)
    versions: Iterable[int] = field(default_factory=lambda: count(1))
    generations: dict[str, int] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)

    def check_owner(self, tenant_id: str) -> None:
        if tenant_id in self.foreign:
            raise ConfigurationError("other_installation", ours=CLIENT_ID, theirs="another")

    def load(self, tenant_id: str) -> TenantSettings:
        self.check_owner(tenant_id)
        left = TenantSettings(tenant_id, generations=self.generations.get(tenant_id, 0))
        return self.rows.get(tenant_id, left)

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

    def remove(self, tenant_id: str) -> None:
        self.generations[tenant_id] = self.load(tenant_id).generations
        self.rows.pop(tenant_id, None)


@dataclass
class MemoryPause:
    """Stores the pause of sending; each entry of `fail` is raised once."""

    pause: SendingPause | None = None
    fail: list[Exception] = field(default_factory=list)
    reads: int = 0

    def load(self) -> SendingPause | None:
        self.reads += 1
        if self.fail:
            raise self.fail.pop(0)
        return self.pause

    def save(self, pause: SendingPause) -> SendingPause:
        known = self.pause or pause
        self.pause = replace(known, installation=known.installation or pause.installation)
        return self.pause

    def remove(self) -> None:
        self.pause = None


@dataclass
class MemorySchedules:
    """Stores schedules; each entry of `fail` is raised once."""

    rows: dict[str, Schedule] = field(default_factory=dict)
    versions: Iterable[int] = field(default_factory=lambda: count(1))
    fail: list[Exception] = field(default_factory=list)
    reads: int = 0
    writes: int = 0
    clock: Callable[[], datetime | None] = lambda: None

    def load(self, key: str) -> tuple[Schedule, datetime | None]:
        self.reads += 1
        if self.fail:
            raise self.fail.pop(0)
        return self.rows.get(key, Schedule()), self.clock()

    def save(self, key: str, schedule: Schedule) -> Schedule | None:
        self.writes += 1
        if self.fail:
            raise self.fail.pop(0)
        if self.rows.get(key, Schedule()).etag != schedule.etag:
            return None
        self.rows[key] = replace(schedule, etag=f"v{next(iter(self.versions))}")
        return self.rows[key]


@dataclass
class MemoryOperatorLog:
    actions: list[OperatorAction] = field(default_factory=list)

    def add(self, action: OperatorAction) -> None:
        self.actions.append(action)

    def unreported(self) -> tuple[OperatorAction, ...]:
        return tuple(sorted(self.actions, key=lambda action: action.at))

    def remove(self, action: OperatorAction) -> None:
        if action in self.actions:
            self.actions.remove(action)


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
            self.remove(flow_id)

    def of_tenant(self, tenant_id: str) -> tuple[str, ...]:
        return tuple(flow.flow_id for flow in self.flows.values() if flow.tenant_id == tenant_id)

    def remove(self, flow_id: str) -> None:
        self.flows.pop(flow_id, None)
        self.secrets.pop(flow_id, None)

    def save(self, flow: ConsentFlow) -> None:
        self.flows[flow.flow_id] = flow

    def secret(self, flow_id: str) -> FlowSecret | None:
        return self.secrets.get(flow_id)

    def replace_secret(self, secret: FlowSecret) -> bool:
        known = self.secrets.get(secret.flow_id)
        if (known.etag if known else None) != secret.etag:
            return False
        self._keep(secret)
        return True

    def undecided(self, before: datetime) -> tuple[FlowSecret, ...]:
        return tuple(s for s in self.secrets.values() if s.expires_at and s.expires_at < before)

    def consume_secret(self, secret: FlowSecret) -> bool:
        known = self.secrets.get(secret.flow_id)
        if known is None or known.etag != secret.etag:
            return False
        del self.secrets[secret.flow_id]
        return True

    def _keep(self, secret: FlowSecret) -> None:
        self.secrets[secret.flow_id] = replace(secret, etag=f"v{next(iter(self.versions))}")


@dataclass
class MemoryVault:
    """Keeps secrets; each entry of `fail` is raised once."""

    secrets: dict[str, str] = field(default_factory=dict)
    older: dict[str, list[str]] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    recoverable_until: datetime | None = None
    purgeable: bool = False
    kept: dict[str, DeletedTokens] = field(default_factory=dict)
    lists: int = 0
    fail: list[Exception] = field(default_factory=list)

    def read(self, name: str) -> str | None:
        self._fail()
        return self.secrets.get(name)

    def write(self, name: str, tokens: str, *, new: bool = False) -> None:
        self._fail()
        if name in self.secrets:
            self.older.setdefault(name, []).append(self.secrets[name])
        self.secrets[name] = tokens

    def disable_older_versions(self, name: str) -> None:
        self._fail()
        self.older.pop(name, None)

    def delete(self, name: str) -> datetime | None:
        self._fail()
        if self.secrets.pop(name, None) is not None:
            self.deleted.append(name)
            if self.recoverable_until is not None:
                self.kept[name] = DeletedTokens(name, self.recoverable_until, self.purgeable)
        return self.kept[name].recoverable_until if name in self.kept else None

    def recoverable(self) -> tuple[DeletedTokens, ...]:
        self._fail()
        return tuple(self.kept.values())

    def purge(self, name: str) -> None:
        self._fail()
        self.kept.pop(name, None)

    def names(self) -> tuple[str, ...]:
        self._fail()
        self.lists += 1
        return tuple(self.secrets)

    def _fail(self) -> None:
        if self.fail:
            raise self.fail.pop(0)


@dataclass
class FakeEntra:
    """Has everybody consent at once; each entry of `fail` is raised once."""

    system: FakeSystem
    account: Account = field(default_factory=lambda: Account("ada-object-id", CONTOSO, "ada@contoso.com"))
    granted: frozenset[str] | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    fail: list[Exception] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    hints: list[tuple[str, bool]] = field(default_factory=list)
    roles: frozenset[str] | None = frozenset({"Mail.Send"})
    also_granted: frozenset[str] = frozenset()
    claims_wanted: list[str | None] = field(default_factory=list)
    refreshed_for: list[tuple[str, ...]] = field(default_factory=list)
    #: What the next refreshes or app-only tokens permit, one entry each; afterwards as always.
    later: list[frozenset[str] | Exception | None] = field(default_factory=list)

    def begin(
        self, tenant_id: str, scopes: Iterable[str], state: str, login_hint: str, *, ask_again: bool = False
    ) -> AuthorizationRequest:
        self._fail()
        self.asked.append(tuple(scopes))
        self.hints.append((login_hint, ask_again))
        address = f"https://login.microsoftonline.com/{tenant_id}/oauth2/v2.0/authorize?state={state}"
        return AuthorizationRequest(address, {"code_verifier": "verifier", "nonce": "nonce", "state": state})

    def begin_admin_consent(self, tenant_id: str, state: str) -> AuthorizationRequest:
        return AuthorizationRequest(
            f"https://login.microsoftonline.com/{tenant_id}/v2.0/adminconsent?state={state}", {}
        )

    def app_only(self, tenant_id: str, *, claims: str | None = None) -> AccessToken:
        self._fail()
        self.claims_wanted.append(claims)
        self.refreshed.append("app-only")
        expires_at = self.system.now() + timedelta(hours=1)
        return AccessToken(f"access-{len(self.refreshed)}", expires_at, self._later(self.roles), "")

    def redeem(self, tenant_id: str, proof: Mapping[str, Any], reply: Mapping[str, str]) -> TokenResponse:
        self._fail()
        claims = {
            "tid": tenant_id,
            "aud": CLIENT_ID,
            "iss": f"https://login.microsoftonline.com/{tenant_id}/v2.0",
            "exp": int((self.system.now() + timedelta(hours=1)).timestamp()),
            "oid": self.account.object_id,
            "preferred_username": self.account.username,
            **({"email": self.account.email} if self.account.email else {}),
        }
        granted = self.granted if self.granted is not None else frozenset(self.asked[-1])
        return TokenResponse({**claims, **self.claims}, granted, f"tokens-of-{reply['code']}")

    def refresh(
        self,
        tenant_id: str,
        tokens: str,
        account: Account,
        scopes: Iterable[str],
        *,
        claims: str | None = None,
    ) -> AccessToken:
        self._fail()
        self.claims_wanted.append(claims)
        self.refreshed.append(tokens)
        self.refreshed_for.append(tuple(scopes))
        expires_at = self.system.now() + timedelta(hours=1)
        known = frozenset(self.refreshed_for[-1]) if self.granted is None else self.granted
        granted = self._later(known | self.also_granted)
        same = account.object_id == self.account.object_id
        name = self.account.username if same else account.username
        email = self.account.email if same else account.email
        return AccessToken(
            f"access-{len(self.refreshed)}", expires_at, granted or None, f"{tokens}+", name, email
        )

    def _later(self, usual: frozenset[str] | None) -> frozenset[str] | None:
        if not self.later:
            return usual
        found = self.later.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

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
    """Keeps one mailbox; each entry of `fail` is raised once.

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
    #: Whether the mailbox takes the named property that holds our key.
    room_for_key: bool = True

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        self._ask("send_mail")
        call = json.loads(body)
        self._check_room(call["message"])
        self.sent.append((token, sender, body))
        if call.get("saveToSentItems", True):
            self.mails[self._id("sent")] = FakeMail(call["message"], is_draft=False)
        self._answer("send_mail")
        return f"graph-request-{len(self.sent)}"

    def create_draft(self, token: str, sender: Sender, message: bytes) -> str:
        self._ask("create_draft")
        self._check_room(json.loads(message))
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
            if _key_of(mail.message) == key
        )

    def find_draft(self, token: str, sender: Sender, draft_id: str) -> tuple[FoundMail, ...]:
        self._ask("find_draft")
        mail = self.mails.get(draft_id)
        return (FoundMail(draft_id, mail.is_draft),) if mail else ()

    def remove(self, token: str, sender: Sender, draft_id: str) -> None:
        self._ask("remove")
        self.mails.pop(draft_id, None)

    @property
    def drafts(self) -> list[FakeMail]:
        return [mail for mail in self.mails.values() if mail.is_draft]

    def _check_room(self, message: dict[str, Any]) -> None:
        if _key_of(message) and not self.room_for_key:
            raise RejectedError("mailbox_full", graph_code="ErrorQuotaExceeded", address="ada@contoso.com")

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


def _key_of(message: dict[str, Any]) -> str | None:
    """Return our key in a message."""
    properties = message.get("singleValueExtendedProperties", [])
    return next((each["value"] for each in properties if each["id"] == KEY_PROPERTY), None)


def _fall(failures: list[Exception | None] | None) -> None:
    """Raise the next error; None means that the call succeeds."""
    failure = failures.pop(0) if failures else None
    if failure is not None:
        raise failure


@dataclass
class MemoryOutbox:
    messages: list[tuple[bytes, timedelta]] = field(default_factory=list)
    poisoned: int = 0
    waiting: Backlog = field(default_factory=lambda: Backlog(0, None))
    fail: list[Exception] = field(default_factory=list)

    def put(self, text: bytes, delay: timedelta) -> None:
        self.messages.append((text, delay))

    def backlog(self) -> Backlog:
        return self.waiting

    def poison_length(self) -> int:
        if self.fail:
            raise self.fail.pop()
        return self.poisoned


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
            raise MissingFileError(path)
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

    def of_tenant(self, tenant_id: str) -> Iterator[str]:
        yield from [message_id for owner, message_id in self.kept if owner == tenant_id]


@dataclass
class MemoryDeliveries:
    """Keeps the rows, and beside them which are pending and in which state, as the table does."""

    rows: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    aside: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    page: int = 1000
    place: tuple[str, str | None] = ("", None)
    versions: Iterable[int] = field(default_factory=lambda: count(1))

    def add(self, delivery: Delivery) -> Delivery | None:
        if (delivery.tenant_id, delivery.message_id) in self.rows:
            return self._written(delivery)
        return self._write(replace(delivery, stored=None))

    def save(self, delivery: Delivery) -> Delivery | None:
        known = self.find(delivery.tenant_id, delivery.message_id)
        if known is None or known.etag != delivery.etag:
            return self._written(delivery)
        return self._write(delivery)

    def _written(self, delivery: Delivery) -> Delivery | None:
        """Return the row if it says already what is to be written."""
        known = self.find(delivery.tenant_id, delivery.message_id)
        same = known and replace(known, etag=None, stored=None) == replace(delivery, etag=None, stored=None)
        return known if same else None

    def find(self, tenant_id: str, message_id: str) -> Delivery | None:
        return self.rows.get((tenant_id, message_id))

    def list(self, query: DeliveryQuery) -> DeliveryPage:
        newest_first = sorted(
            self.rows.values(), key=lambda row: (-row.queued_at.timestamp(), row.message_id)
        )
        fitting = [row for row in newest_first if _fits(row, query)]
        start = int(query.continuation[1:17]) if query.continuation else 0
        shown = fitting[start : start + query.limit]
        more = start + query.limit < len(fitting)
        listed = tuple(replace(row, history=(), fields=(), etag=None, stored=None) for row in shown)
        return DeliveryPage(listed, f"!{start + query.limit:016d}!m" if more else None)

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

    def next_tenant(self, tenant_id: str) -> str | None:
        return min((owner for owner, _ in self.rows if owner > tenant_id), default=None)

    def finished_before(self, tenant_id: str, moment: datetime, continuation: str | None) -> DeliveryPage:
        start = int(continuation or 0)
        rows = [row for row in self.rows.values() if row.tenant_id == tenant_id]
        some = rows[start : start + self.page]
        old = tuple(row for row in some if row.status.final and row.updated_at < moment)
        return DeliveryPage(old, str(start + self.page) if len(some) == self.page else None)

    def removal_place(self) -> tuple[str, str | None]:
        return self.place

    def save_removal_place(self, tenant_id: str, continuation: str | None) -> None:
        self.place = (tenant_id, continuation)

    def remove_finished(self, deliveries: Sequence[Delivery]) -> int:
        return sum(self.remove(delivery) for delivery in deliveries)

    def remove(self, delivery: Delivery) -> bool:
        mail = (delivery.tenant_id, delivery.message_id)
        unchanged = mail in self.rows and self.rows[mail].etag == delivery.etag
        if unchanged:
            self.aside.pop(mail, None)
        return unchanged and self.rows.pop(mail) is not None

    def count_all(self, tenant_id: str) -> int:
        return sum(owner == tenant_id for owner, _ in self.rows)

    def remove_all(self, tenant_id: str) -> None:
        for rows in (self.rows, self.aside):
            for mail in [mail for mail in rows if mail[0] == tenant_id]:
                del rows[mail]

    def _write(self, delivery: Delivery) -> Delivery:
        saved = replace(delivery, etag=f"v{next(iter(self.versions))}", stored=delivery.status)
        mail = (delivery.tenant_id, delivery.message_id)
        self.rows[mail] = saved
        if delivery.status in PENDING or delivery.owed:
            self.aside[mail] = saved
        else:
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
        self.system = FakeSystem()
        self.refusals = RefusalCounter(self.system)
        self.config = CONFIG
        self.settings = MemorySettings()
        self.stored_settings = self.settings
        self.installation: str | None = CLIENT_ID
        self.storage_account: str | None = STORAGE_ACCOUNT
        self.pause_store = MemoryPause()
        self.operator_log = MemoryOperatorLog()
        self.operator_id: str | None = "operator-object-id"
        self.switch = SendingSwitch(self.pause_store, self.system, lambda: self.installation)
        self.flows = MemoryFlows()
        self.vault = MemoryVault()
        self.authorizer = FakeEntra(self.system)
        self.tokens = AccessTokenCache(
            self.vault, self.authorizer, self.settings, self.system, lambda: self.allowed_tenants
        )
        self.transport = FakeGraph()
        self.outbox = MemoryOutbox()
        self.files = MemoryFiles()
        self.requests = MemoryTexts(now=self.system.now)
        self.drafts = MemoryTexts(now=self.system.now)
        self.schedules = MemorySchedules(clock=self.system.steady)
        self.throttle = self.new_throttle()
        self.claims = ClaimMemory()
        self.allowed_tenants = self.config.allowed_tenant_ids
        self.message_limit_mb = self.config.mailbox_message_limit_mb
        self.resends_unknown = False
        self.setting_problems: tuple[ConfigurationError, ...] = ()
        self.retention_days = self.config.delivery_retention_days
        self.deliveries = MemoryDeliveries()
        self.caller_tokens = FakeCallers()
        self.confirmations = threading.BoundedSemaphore(MAX_WAITING)

    def new_throttle(self) -> Throttle:
        """Build what a process knows of the schedules."""
        return Throttle(self)

    @property
    def probes(self) -> Mapping[str, Callable[[], object]]:
        return {"tables": lambda: self.settings.load(CONTOSO), "vault": lambda: self.vault.read("readiness")}

    @property
    def application_senders(self) -> tuple[str, ...]:
        return self.config.application_senders

    @property
    def messages_per_minute(self) -> int:
        return self.config.mailbox_messages_per_minute

    @property
    def home_tenant(self) -> str:
        return self.config.entra_tenant_id
