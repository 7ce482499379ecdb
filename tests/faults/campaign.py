"""Mails through several host processes while things go wrong; and what became of each, seen from outside."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from azure.data.tables import TableServiceClient

from shared.adapters.documents import read_document
from shared.deliveries.delivery import Delivery
from shared.storage_names import DELIVERIES
from tests.local_stack.actors import Admin, Scheduler, wait_for
from tests.local_stack.microsoft365.contoso import ADA, CONTOSO
from tests.local_stack.stack import LocalStack
from tests.local_stack.storage_gates import StorageGates
from tests.local_stack.visitor import Visitor

if TYPE_CHECKING:
    from types import TracebackType

#: Our host hides a received message for so long; a message whose host was killed comes back then.
LEASE_SECONDS = 8
BODY = {"contentType": "text", "content": "Up 4 %"}
#: By the letter in the id of a mail that carries it: in one request, and in chunks.
FILES = {"f": os.urandom(200_000), "l": os.urandom(7_000_000)}
TELL_SECONDS = 30.0
NEVER_SENT = frozenset({"rejected", "invalid", "expired"})
PUT_OFF = {"deferred", "verifying", "waiting_for_operator"}
FINAL = NEVER_SENT | {"accepted", "unknown"}


def nothing(_: Campaign) -> None:
    """Let everything work."""


@dataclass(frozen=True)
class Scenario:
    """Something that goes wrong while some mails are on their way.

    Attributes:
        drafts: whether it needs mails that travel as drafts.
        pause: seconds to wait before the next, whose mails would otherwise not be asked for.
        small: how many mails leave in one request; every third has a file.
        large: how many of the mails carry a file that goes up in chunks.
        copies: how often each message is queued.
    """

    name: str
    disturb: Callable[[Campaign], None]
    small: int = 6
    large: int = 0
    copies: int = 1
    drafts: bool = False
    pause: float = 0.0


@dataclass
class Result:
    """What became of a scenario's mails.

    Attributes:
        faults: how often something went wrong; of a scenario in which nothing did, nothing is learnt.
    """

    name: str
    ids: list[str] = field(repr=False)
    statuses: Counter[str] = field(default_factory=Counter)
    duplicated: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)
    faults: int = 0

    @property
    def under_way(self) -> int:
        """How many have not come to their end."""
        return sum(count for status, count in self.statuses.items() if status not in {*FINAL, "no row"})

    def row(self) -> str:
        """Write one line of the table."""
        others = sum(self.statuses[status] for status in NEVER_SENT)
        numbers = (self.faults, len(self.ids), self.statuses["accepted"], self.duplicated, self.lost)
        cells = [*numbers, self.statuses["unknown"], others, self.under_way]
        return f"{self.name:<52}" + "".join(f"{cell:>11}" for cell in cells)


HEADER = f"{'fault':<52}" + "".join(
    f"{title:>11}"
    for title in ("faults", "mails", "accepted", "duplicated", "lost", "unknown", "not sent", "under way")
)


class Campaign:
    """A stack with several hosts, whose tenant has consented.

    Attributes:
        look_up: whether to Mail.ReadWrite too.
    """

    def __init__(self, *, look_up: bool, hosts: int = 2, gated: bool = True) -> None:
        self.look_up = look_up
        self._gated = gated
        self._hosts = hosts
        self._cleanup = ExitStack()
        self._results: list[Result] = []
        self._blows = 0

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            self.stack = cleanup.enter_context(LocalStack(with_host=False))
            # Faults are meant for what each scenario does, not for somebody else's copy arriving late.
            self.stack.microsoft365.behaviour.sent_items_lag = 2.0
            self.gates = cleanup.enter_context(StorageGates(self.stack.azurite))
            self._start_hosts()
            self._consent(cleanup)
            self.scheduler = Scheduler(self.stack.azurite.connection_string, CONTOSO)
            cleanup.callback(self.scheduler.close)
            tables = TableServiceClient.from_connection_string(self.stack.azurite.connection_string)
            self._table = cleanup.enter_context(tables).get_table_client(DELIVERIES)
            self._blobs = {
                letter: self.scheduler.upload(f"campaign/{letter}.bin", content)
                for letter, content in FILES.items()
            }
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def run(self, scenario: Scenario) -> Result:
        """Queue a scenario's mails, disturb them, and go on when nothing more happens soon.

        A mail that was put off may meet the faults of the next scenarios, which its row then tells of.
        """
        number = len(self._results) + 1
        letters = ["f" if place % 3 == 1 else "m" for place in range(scenario.small)]
        letters += "l" * (scenario.large if self.look_up else 0)
        ids = [f"s{number}:{letter}{place}" for place, letter in enumerate(letters)]
        result = Result(scenario.name, ids)
        before = self.faults
        disturbing = threading.Thread(target=scenario.disturb, args=(self,))
        disturbing.start()
        for message_id in result.ids:
            for _ in range(scenario.copies):
                self.queue(message_id)
        disturbing.join()
        self._results.append(result)
        self._wait(result.ids, FINAL | PUT_OFF, 60)
        if scenario.disturb is not nothing:
            self._wait_for_fault(before, 60)
        result.faults = self.faults - before
        if not result.faults and scenario.disturb is not nothing:
            result.wrong.append("nothing went wrong")
        self._restore()
        time.sleep(scenario.pause)
        return result

    @property
    def faults(self) -> int:
        """How often something went wrong so far."""
        services = (self.stack.microsoft365.faults, self.stack.key_vault.faults, self.gates)
        return self._blows + sum(service.hits for service in services)

    def settle(self, seconds: float = 1800, tell: Callable[[str], None] = lambda _: None) -> list[Result]:
        """Wait until every mail has come to its end, and say what became of it.

        `tell` hears now and then what is waited for, and until when.
        """
        self._restore()
        ids = [message_id for result in self._results for message_id in result.ids]
        self._wait(ids, FINAL, seconds, tell)
        for result in self._results:
            self._judge(result)
        return self._results

    def queue(self, message_id: str) -> None:
        """Queue one mail; its subject is its id."""
        blob = self._blobs.get(_letter(message_id))
        files = [{"name": "sales.pdf", "contentType": "application/pdf", "blob": blob}]
        self.scheduler.queue(
            message_id,
            to=["cfo@contoso.com"],
            subject=message_id,
            body=BODY,
            attachments=files if blob else None,
        )

    def queue_text(self, text: str) -> None:
        """Queue what may be no mail at all."""
        self._blows += 1
        self.scheduler.queue_text(text)

    def drafts(self) -> int:
        """Count what lies half-made in Drafts."""
        return sum(mail.arrives is None for mail in self.stack.microsoft365.drafts(ADA))

    def statuses(self) -> dict[str, str]:
        """Read every row's state, straight from the table."""
        rows = self._table.query_entities(
            "RowKey ge @a and RowKey lt @b", parameters={"a": "-", "b": "~"}, select=["RowKey", "Status"]
        )
        return {row["RowKey"]: row["Status"] for row in rows}

    def in_flight(self, operation: str) -> bool:
        """Say whether a call of this kind is waiting for its answer."""
        return any(request.status == 0 for request in self.stack.microsoft365.requests.all(operation))

    def kill_and_replace(self) -> None:
        """Kill every running host, as a crash would, and start as many."""
        for host in self.stack.hosts:
            self._blows += host.running
            host.kill()
        self._start_hosts()

    def freeze_storage(self, seconds: float) -> None:
        """Let storage answer nothing for a while."""
        self._blows += 1
        os.kill(self.stack.azurite.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(self.stack.azurite.pid, signal.SIGCONT)

    def _consent(self, cleanup: ExitStack) -> None:
        admin = Admin(
            self.stack.api_url, self.stack.microsoft365.api_token(ADA), self.stack.authority.ca_file
        )
        cleanup.callback(admin.close)
        wanted = {"fromEmailAddress": ADA, "largeFileAttachments": self.look_up}
        started = admin.call("POST", "tenant-settings/smtp/enable", wanted).json()
        Visitor(self.stack.authority.ca_file).consent(started["startUrl"], ADA)
        wait_for(lambda: admin.settings()["status"] == "enabled" or None, "the consent")

    def _restore(self) -> None:
        self.stack.microsoft365.faults.clear()
        self.stack.key_vault.faults.clear()
        self._start_hosts()

    def _start_hosts(self) -> None:
        """Start as many as are missing; gates cost time, so a measurement goes without."""
        settings = {"AzureWebJobsStorage": self.gates.connection_string} if self._gated else {}
        while sum(host.running for host in self.stack.hosts) < self._hosts:
            self.stack.start_host(lease=LEASE_SECONDS, settings=settings)

    def _wait(
        self,
        ids: Iterable[str],
        wanted: frozenset[str],
        seconds: float,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Wait a while; a mail that does not come to its end is judged as lost later."""
        started = told = time.monotonic()
        open_ids = set(ids)
        while open_ids and time.monotonic() - started < seconds:
            statuses = self.statuses()
            open_ids = {each for each in open_ids if statuses.get(each) not in wanted}
            if open_ids and time.monotonic() - told >= TELL_SECONDS:
                told = time.monotonic()
                some = ", ".join(self._described(each) for each in sorted(open_ids)[:8])
                tell(f"{len(open_ids)} still under way: {some}")
            time.sleep(0.5)

    def _described(self, message_id: str) -> str:
        """Name a mail with its state and the moment of its next attempt."""
        rows = list(self._table.query_entities("RowKey eq @id", parameters={"id": message_id}))
        if not rows:
            return f"{message_id} no row"
        row = read_document(Delivery, rows[0]["Document"])
        until = f" until {row.next_attempt_at:%H:%M:%S}" if row.next_attempt_at else ""
        return f"{message_id} {row.status}{until}"

    def _wait_for_fault(self, before: int, seconds: float) -> None:
        """Wait for mails that were put off before they could meet one, as in a mailbox that is left alone."""
        started = time.monotonic()
        while self.faults == before and time.monotonic() - started < seconds:
            time.sleep(0.1)

    def _judge(self, result: Result) -> None:
        """Hold rows against mails: the invariants 1 to 3."""
        statuses = self.statuses()
        mails: Counter[str] = Counter(mail.subject for mail in self.stack.microsoft365.mails())
        for message_id in result.ids:
            status, sent = statuses.get(message_id, "no row"), mails[message_id]
            result.statuses[status] += 1
            admits = status == "unknown" and not self.look_up
            lost = sent == 0 and (status in {"accepted", "no row"} or (status == "unknown" and not admits))
            twice = sent > 1 and not admits
            untrue = sent > 0 and status in NEVER_SENT
            result.lost += lost
            result.duplicated += twice
            if lost or twice or untrue:
                result.wrong.append(f"{message_id}: {status}, sent {sent} times")
        self._check_files(result)

    def _check_files(self, result: Result) -> None:
        for mail in self.stack.microsoft365.mails():
            if mail.subject in result.ids:
                file = FILES.get(_letter(mail.subject))
                if [attachment.read() for attachment in mail.attachments] != ([file] if file else []):
                    result.wrong.append(f"{mail.subject}: its file is not whole")


def _letter(message_id: str) -> str:
    return message_id.partition(":")[2][:1]
