"""Several hosts in memory with one queue and one storage account.

Each host has its own clock and version. A taken message is hidden for ten minutes and returns unless it is
completed, as in Azure. Times in rows are moved to the reader's clock as the real delivery log moves them.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.adapters.storage_clock import WRITTEN_AT, convert_to_own_clock
from shared.deliveries.status import DeliveryStatus
from shared.errors import OutcomeUnknownError, ProblemError
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.settings.ownership import OwnedSettings
from shared.settings.tenant import RequestedSender
from tests.builders import a_consent, a_message, some_settings
from tests.fakes import CLIENT_ID, CONTOSO, INSTALLATION, FakeGraph, FakeServices, FakeSystem, MemoryVault
from tests.faults.fault_run import (
    LEASE,
    SUBMITTING,
    TIMER,
    VISIBILITY,
    FaultInjector,
    FaultKind,
    FaultyServices,
    Killed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.deliveries.delivery import Delivery
    from shared.sending.ports import FoundMail
    from shared.settings.sender import Sender

OTHER_CLIENT = "99999999-2222-4333-8444-555555555555"
_MAX_STEPS = 6000
#: How long until a copy can be found, and the share of lost responses.
_COPY_LAG = timedelta(minutes=4)
_LOST_RESPONSES = 0.4


@dataclass
class HostSystem(FakeSystem):
    """The clock of a host: offset from the true time, stopped while suspended."""

    true: FakeSystem = field(default_factory=FakeSystem)
    ahead: timedelta = timedelta(0)
    suspended: timedelta = timedelta(0)

    def now(self) -> datetime:
        return self.true.now() + self.ahead

    def steady(self) -> datetime:
        return self.true.steady() - self.suspended

    def sleep(self, seconds: float) -> None:
        self.true.pass_time(timedelta(seconds=seconds))


class _RowMetadata(dict[str, Any]):
    """The columns and the timestamp of a row, without its document."""

    def __init__(self, written_at: datetime, stamp: datetime) -> None:
        super().__init__({WRITTEN_AT: written_at})
        self.metadata = {"timestamp": stamp}


class HostDeliveries:
    """The delivery log as one host sees it."""

    def __init__(self, inner: Any, stamps: dict[tuple[str, str], _RowMetadata], system: HostSystem) -> None:
        self._inner, self._stamps, self._system = inner, stamps, system

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def add(self, delivery: Delivery) -> Delivery | None:
        return self._with_timestamp(self._inner.add(delivery))

    def save(self, delivery: Delivery) -> Delivery | None:
        return self._with_timestamp(self._inner.save(delivery))

    def find(self, tenant_id: str, message_id: str) -> Delivery | None:
        found = self._inner.find(tenant_id, message_id)
        if found is None:
            return None
        stamp: Any = self._stamps[tenant_id, message_id]
        return convert_to_own_clock(found, stamp, self._system.true.now(), self._system.now())

    def _with_timestamp(self, written: Delivery | None) -> Delivery | None:
        if written:
            mail = (written.tenant_id, written.message_id)
            self._stamps[mail] = _RowMetadata(self._system.now(), self._system.true.now())
        return written


class LaggingGraph:
    """Graph whose copies appear late and whose responses get lost."""

    def __init__(self, inner: FakeGraph, true: FakeSystem, rng: random.Random) -> None:
        self._inner, self._true, self._rng = inner, true, rng
        self._sent_at: dict[str, datetime] = {}
        self.faults = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        response = self._inner.send_mail(token, sender, body)
        for mail_id in self._inner.mails:
            self._sent_at.setdefault(mail_id, self._true.now())
        if self.faults and self._rng.random() < _LOST_RESPONSES:
            raise OutcomeUnknownError("outcome_unknown")
        return response

    def find(self, token: str, sender: Sender, key: str) -> tuple[FoundMail, ...]:
        found = self._inner.find(token, sender, key)
        seen = self._true.now() - _COPY_LAG
        return tuple(mail for mail in found if self._sent_at.get(mail.mail_id, seen) <= seen)


class NewerRequests:
    """Stored requests of a newer version, with an unknown member."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def save(self, tenant_id: str, message_id: str, text: bytes) -> None:
        newer = json.dumps({**json.loads(text), "inventedLater": "x"}).encode()
        self._inner.save(tenant_id, message_id, newer)

    def load(self, tenant_id: str, message_id: str) -> bytes | None:
        text = self._inner.load(tenant_id, message_id)
        if text is None:
            return None
        known = {name: value for name, value in json.loads(text).items() if name != "inventedLater"}
        return json.dumps(known).encode()


@dataclass
class Message:
    """A queued message; `taken` counts the receipts, as a pop receipt does."""

    visible: datetime
    text: bytes
    taken: int = 0


class HostCluster:
    """The queue, the storage account and the hosts, reproducible by seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.true = FakeSystem()
        self.stored = FakeServices()
        self.stamps: dict[tuple[str, str], _RowMetadata] = {}
        self.queue: dict[str, Message] = {}
        self.hosts: list[FakeServices] = []
        self.graph = LaggingGraph(self.stored.transport, self.true, self.rng)
        self.touched: set[str] = set()
        self.faults = True
        self.suspends = False
        self.checks: list[Callable[[FakeServices, Callable[[], None]], None]] = []
        self._last_number = 0
        self._timer = self.true.now()
        self.stored.settings.save(
            some_settings(
                sender=RequestedSender("ada@contoso.com", large_file_attachments=True),
                consent=a_consent(scopes=frozenset({"Mail.Send", "Mail.ReadWrite"})),
                installation=CLIENT_ID,
            )
        )
        self.stored.vault.write(f"smtp-{CONTOSO}-1", "tokens")

    def add_host(self, ahead: timedelta = timedelta(0), client_id: str = CLIENT_ID) -> FakeServices:
        """Add a host of an installation, with a clock ahead by a time."""
        system = HostSystem(true=self.true, ahead=ahead)
        installation = replace(INSTALLATION, client_id=client_id)
        host = FakeServices(
            system=system,
            installation=client_id,
            vault=self.stored.vault if client_id == CLIENT_ID else MemoryVault(),
            transport=self.graph,
            deliveries=HostDeliveries(self.stored.deliveries, self.stamps, system),
            settings=OwnedSettings(self.stored.settings, lambda: installation, lambda _: None, system),
            requests=self.stored.requests,
            drafts=self.stored.drafts,
            outbox=self.stored.outbox,
            files=self.stored.files,
            pause_store=self.stored.pause_store,
        )
        self.hosts.append(host)
        return host

    def queue_mails(self, count: int) -> None:
        """Queue mails, some of them twice."""
        for number in range(count):
            text = a_message(messageId=f"m-{number}", subject=f"m-{number}")
            for _ in range(1 + (number % 3 == 0)):
                self._put(text, timedelta(seconds=self.rng.uniform(0, 600)))

    def run(self) -> None:
        """Process messages until every mail is final and the queue is empty."""
        for step in range(_MAX_STEPS):
            self._collect()
            open_rows = [row for row in self.rows if not row.status.final]
            if not self.queue and not open_rows:
                return
            self.faults = self.faults and step < 400
            self.graph.faults = self.faults
            self._step(self.hosts)
        raise AssertionError(f"The mails did not become final: {self.rows}")

    @property
    def rows(self) -> list[Delivery]:
        """All rows."""
        return list(self.stored.deliveries.rows.values())

    def sent(self, message_id: str) -> int:
        """Count how often a mail was sent."""
        bodies = [json.loads(body)["message"] for _, _, body in self.stored.transport.sent]
        return sum(body["subject"] == message_id for body in bodies)

    def _put(self, text: bytes, delay: timedelta) -> None:
        self._last_number += 1
        self.queue[f"q-{self._last_number}"] = Message(self.true.now() + delay, text)

    def _collect(self) -> None:
        messages = self.stored.outbox.messages
        for text, delay in messages:
            self._put(text, delay)
        messages.clear()

    def _step(self, hosts: list[FakeServices]) -> None:
        host = self.rng.choice(hosts)
        first = min(self.queue, key=lambda name: self.queue[name].visible, default=None)
        if first is None or self.queue[first].visible > self._timer + TIMER:
            self._timer += TIMER
            self.true.pass_time(max(timedelta(0), self._timer - self.true.now()))
            self._checked(host, lambda: release_all(host))
            return
        message = self.queue[first]
        self.true.pass_time(max(timedelta(0), message.visible - self.true.now()))
        message.taken += 1
        taken, message.visible = message.taken, self.true.now() + LEASE
        done = self._checked(host, lambda: deliver(message.text, first, self._ports(host)))
        if first in self.queue and self.queue[first].taken == taken:
            if done:
                del self.queue[first]
            else:
                message.visible = self.true.now() + VISIBILITY

    def _checked(self, host: FakeServices, work: Callable[[], None]) -> bool:
        """Run work on a host; return whether its message is completed."""
        done: list[bool] = []

        def run_work() -> None:
            try:
                work()
            except (Killed, ProblemError):
                return
            done.append(True)

        for check in self.checks:
            check(host, run_work)
        if not self.checks:
            run_work()
        return bool(done)

    def _ports(self, host: FakeServices) -> Any:
        if not self.faults:
            return host
        place = self.rng.randrange(60)
        if self.suspends and place < 25:
            # Mostly after its claim or the record of its hand-over.
            at = place if place < 12 else None
            return FaultyServices(host, _Suspension(at, lambda: self._suspend(host)))
        faults = {place: self.rng.choice(list(FaultKind))} if place < 12 else {}
        return FaultyServices(host, FaultInjector(faults))

    def _suspend(self, host: FakeServices) -> None:
        """Run the other hosts while one is suspended."""
        before = self.true.now()
        until = before + timedelta(minutes=self.rng.choice([1, 11, 30]))
        faults, self.faults = self.faults, False
        while self.true.now() < until:
            self._collect()
            self._step([each for each in self.hosts if each is not host])
        self.faults = faults
        system: Any = host.system
        system.suspended += self.true.now() - before


class _Suspension(FaultInjector):
    """One suspension of the host, at a numbered call or after a row write."""

    def __init__(self, at: int | None, suspend: Callable[[], None]) -> None:
        super().__init__({})
        self._at, self._suspend, self._done = at, suspend, False

    def call(self, port: str, name: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        wrote = port == "deliveries" and name in {"add", "save"}
        now = wrote if self._at is None else self.calls == self._at and name not in SUBMITTING
        result = super().call(port, name, function, *args, **options)
        if now and not self._done:
            self._done = True
            self._suspend()
        return result


def write_as_newer_version(cluster: HostCluster, host: FakeServices, work: Callable[[], None]) -> None:
    """Write as a newer version, with unknown statuses and members."""
    rows = cluster.stored.deliveries.rows
    for mail, row in list(rows.items()):
        if row.status is DeliveryStatus.OTHER_VERSION:
            rows[mail] = replace(row, status=DeliveryStatus.DEFERRED, stored_status=DeliveryStatus.DEFERRED)
    before = dict(rows)
    work()
    for mail, row in list(rows.items()):
        if before.get(mail) == row:
            continue
        newer = replace(row, additions={"priority": 3})
        cluster.touched.add(row.message_id)
        if row.status is DeliveryStatus.DEFERRED and cluster.rng.random() < 0.3:
            newer = replace(newer, status=DeliveryStatus.OTHER_VERSION, additions={"priority": 3})
        rows[mail] = newer
    noted = [
        (text.replace(b'{"resume":{', b'{"resume":{"later":1,'), delay) for text, delay in _messages(host)
    ]
    _messages(host)[:] = noted


def _messages(host: FakeServices) -> list[tuple[bytes, timedelta]]:
    return host.outbox.messages
