"""Mails through several hosts with faults, checked from outside."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self

from azure.data.tables import TableServiceClient

from shared.adapters.serialization import read_document
from shared.deliveries.delivery import Delivery
from shared.storage_names import DELIVERIES
from tests.faults.outcomes import Messages, outcome_errors, receive_outcomes
from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin, Scheduler, delete_schedules, wait_for
from tests.local_stack.host.options import Waits
from tests.local_stack.microsoft365.contoso import ADA, CLIENT_ID, CONTOSO, REPORTS
from tests.local_stack.stack import QUICK, LocalStack
from tests.local_stack.storage_gates import StorageGates
from tests.local_stack.storage_roles import OUTCOMES

if TYPE_CHECKING:
    from types import TracebackType

#: Our host hides a received message for so long; a message whose host was killed comes back then.
LEASE_SECONDS = 8
BODY = {"contentType": "text", "content": "Up 4 %"}
#: By the letter in the id of their mail: in one request, on a draft, and in chunks.
FILES = {
    "f": (os.urandom(200_000),),
    "d": (os.urandom(2_500_000), os.urandom(2_500_000)),
    "l": (os.urandom(7_000_000),),
}
#: Short, because a late copy in Sent Items is a fault of its own scenario.
USUAL_LAG = 2.0
PROGRESS_SECONDS = 30.0
#: More than any scenario makes in the period.
UNLIMITED_CALLS = 10_000
#: The timer that repeats failed outcome messages runs every five minutes.
TIMER_SECONDS = 330.0
NEVER_SENT = frozenset({"rejected", "invalid", "expired"})
DEFERRED = {"deferred", "verifying", "waiting_for_operator", "waiting_for_microsoft365"}
type Cause = Literal["other", "storage", "kill"]
FINAL = NEVER_SENT | {"accepted", "unknown"}


def no_fault(_: Campaign) -> None:
    """Inject nothing."""


@dataclass(frozen=True)
class Scenario:
    """A fault, and the mails that are queued during it.

    Attributes:
        drafts: whether it needs mails that are sent as drafts.
        all_accepted: whether any other outcome violates an invariant.
        settings: added to the usual ones of the hosts.
        hosts: how many run; 0 for as many as usual.
        cause: the kind of fault. A storage fault changes no outcome; a kill changes only the outcome of a
            mail that was being handed over.
        pause: seconds until the next scenario; the hosts send nothing to a throttled mailbox meanwhile.
        small: how many mails are sent in one request; every third has a file.
        medium: how many have files that need a draft, and that fit into one request each.
        large: how many have a file that is uploaded in chunks.
        copies: how often each message is queued.
    """

    name: str
    inject: Callable[[Campaign], None]
    small: int = 6
    medium: int = 0
    large: int = 0
    copies: int = 1
    drafts: bool = False
    all_accepted: bool = False
    cause: Cause = "other"
    settings: Mapping[str, str] = field(default_factory=dict)
    hosts: int = 0
    pause: float = 0.0


@dataclass
class Result:
    """The outcomes of a scenario's mails.

    Attributes:
        faults: how many faults were injected; a scenario without any tests nothing.
        repeated: how many mails without a possible search were sent twice, with a warning in the delivery.
        handed_over: the mails that were being handed to Graph when hosts were killed, as their rows say.
        claimed: how many mails a worker had claimed when the hosts were killed.
        at_graph: how many calls Graph was processing then.
        all_accepted: as in the scenario.
    """

    name: str
    ids: list[str] = field(repr=False)
    cause: Cause = "other"
    handed_over: set[str] = field(default_factory=set, repr=False)
    statuses: Counter[str] = field(default_factory=Counter)
    duplicated: int = 0
    repeated: int = 0
    lost: int = 0
    violations: list[str] = field(default_factory=list)
    faults: int = 0
    claimed: int = 0
    at_graph: int = 0
    all_accepted: bool = False

    @property
    def unfinished(self) -> int:
        """The number of mails without a final status."""
        return sum(count for status, count in self.statuses.items() if status not in {*FINAL, "no row"})

    def row(self) -> str:
        """Write one line of the table."""
        others = sum(self.statuses[status] for status in NEVER_SENT)
        numbers = (self.faults, len(self.ids), self.claimed, self.at_graph, self.statuses["accepted"])
        ends = (self.duplicated, self.repeated, self.lost, self.statuses["unknown"], others, self.unfinished)
        cells = [*numbers, *ends]
        return f"{self.name:<52}" + "".join(f"{cell:>11}" for cell in cells)


#: `claimed` and `at Graph`: when the hosts were killed.
COLUMNS = (
    "faults",
    "mails",
    "claimed",
    "at Graph",
    "accepted",
    "duplicated",
    "repeated",
    "lost",
    "unknown",
    "not sent",
    "unfinished",
)
HEADER = f"{'fault':<52}" + "".join(f"{title:>11}" for title in COLUMNS)


class Campaign:
    """A stack with several hosts, whose tenant has consented.

    Attributes:
        look_up: whether to consent to Mail.ReadWrite too.
        by_the_app: whether the app sends with its own permission.
        outcomes: whether each mail requests an outcome message.
        mailbox: the address of the mailbox that sends.
        admin: the admin who consented.
    """

    def __init__(
        self,
        *,
        look_up: bool,
        hosts: int = 2,
        gated: bool = True,
        by_the_app: bool = False,
        outcomes: bool = False,
        settings: Mapping[str, str] = QUICK,
        lease: int = LEASE_SECONDS,
    ) -> None:
        self.look_up = look_up
        self.by_the_app = by_the_app
        self.outcomes = outcomes
        self.mailbox = REPORTS if by_the_app else ADA
        self.reported: Messages = {}
        self._gated = gated
        self._stack_settings = settings
        self._lease = lease
        self._hosts = hosts
        self._cleanup = ExitStack()
        self._results: list[Result] = []
        self._injected = 0
        self._running_ids: list[str] = []
        self._violations: list[str] = []
        self._settings: Mapping[str, str] = {}
        self._more_hosts = 0
        self._claimed = 0
        self._handed_over: set[str] = set()
        self._at_graph = 0

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            self.stack = cleanup.enter_context(LocalStack(with_host=False, settings=self._stack_settings))
            self.stack.microsoft365.behaviour.sent_items_lag = USUAL_LAG
            self.gates = cleanup.enter_context(StorageGates(self.stack.azurite))
            self._start_hosts()
            self._consent(cleanup)
            self.scheduler = Scheduler(self.stack.azurite.connection_string, CONTOSO)
            cleanup.callback(self.scheduler.close)
            tables = TableServiceClient.from_connection_string(self.stack.azurite.connection_string)
            self._table = cleanup.enter_context(tables).get_table_client(DELIVERIES)
            self._blobs = {
                letter: [
                    self.scheduler.upload(f"campaign/{letter}{place}.bin", content)
                    for place, content in enumerate(contents)
                ]
                for letter, contents in FILES.items()
            }
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def run(self, scenario: Scenario) -> Result:
        """Queue the mails of a scenario, inject its faults, wait until idle.

        The faults of later scenarios can affect a deferred mail and change its row.
        """
        number = len(self._results) + 1
        letters = ["f" if place % 3 == 1 else "m" for place in range(scenario.small)]
        letters += ("d" * scenario.medium + "l" * scenario.large) if self.look_up else ""
        ids = [f"s{number}:{letter}{place}" for place, letter in enumerate(letters)]
        result = Result(scenario.name, ids, scenario.cause)
        result.all_accepted = scenario.all_accepted
        self._running_ids, self._violations = ids, result.violations
        before, claimed, at_graph = self.faults, self._claimed, self._at_graph
        self._use(scenario.settings, scenario.hosts)
        injection = threading.Thread(target=scenario.inject, args=(self,))
        injection.start()
        for message_id in result.ids:
            for _ in range(scenario.copies):
                self.queue(message_id)
        injection.join()
        self._results.append(result)
        self._wait(result.ids, FINAL | DEFERRED, 60)
        if scenario.inject is not no_fault:
            self._wait_for_fault(before, 60)
        result.faults = self.faults - before
        result.claimed, result.at_graph = self._claimed - claimed, self._at_graph - at_graph
        if not result.faults and scenario.inject is not no_fault:
            result.violations.append("no fault was injected")
        self._restore()
        self._use({}, 0)
        time.sleep(scenario.pause)
        return result

    @property
    def faults(self) -> int:
        """The number of faults injected so far."""
        stack = self.stack
        services = (stack.microsoft365.faults, stack.key_vault.faults, stack.identity.faults, self.gates)
        return self._injected + sum(service.hits for service in services)

    def settle(self, seconds: float = 1800, report: Callable[[str], None] = lambda _: None) -> list[Result]:
        """Wait until every mail is final, and return its outcome.

        `report` gets a progress message every 30 seconds.
        """
        self._restore()
        ids = [message_id for result in self._results for message_id in result.ids]
        self._wait(ids, FINAL, seconds, report)
        if self.outcomes:
            self._wait_until_reported(ids, TIMER_SECONDS, report)
            self.reported = receive_outcomes(self.stack.azurite.connection_string)
        for result in self._results:
            self._check_invariants(result)
        return self._results

    def queue(self, message_id: str) -> None:
        """Queue one mail; its subject is its id."""
        blobs = self._blobs.get(_letter(message_id), [])
        files = [{"name": "sales.pdf", "contentType": "application/pdf", "blob": blob} for blob in blobs]
        self.scheduler.queue(
            message_id,
            to=["cfo@contoso.com"],
            subject=message_id,
            body=BODY,
            attachments=files or None,
            outcomeQueue=OUTCOMES if self.outcomes else None,
        )

    def queue_text(self, text: str) -> None:
        """Queue a text that need not be a mail."""
        self._injected += 1
        self.scheduler.queue_text(text)

    def drafts(self) -> int:
        """Count the unsent drafts."""
        return sum(mail.arrives is None for mail in self.stack.microsoft365.drafts(self.mailbox))

    def statuses(self) -> dict[str, str]:
        """Return the status of every row, read directly from the table."""
        rows = self._table.query_entities(
            "RowKey ge @a and RowKey lt @b", parameters={"a": "-", "b": "~"}, select=["RowKey", "Status"]
        )
        return {row["RowKey"]: row["Status"] for row in rows}

    def count(self, status: str) -> int:
        """Count the mails with a status."""
        return list(self.statuses().values()).count(status)

    def count_faults(self, faults: int) -> None:
        """Count faults that the local services do not count."""
        self._injected += faults

    def report_violation(self, what: str) -> None:
        """Record that the running scenario violated an invariant."""
        self._violations.append(what)

    def wait_until_sending(self, seconds: float = 30) -> None:
        """Wait until a worker has claimed one of the scenario's mails."""
        self._wait_for_any(frozenset({"sending"}), seconds)

    def wait_until_final(self, seconds: float = 60, *, or_deferred: bool = True) -> None:
        """Wait until each mail of the scenario is final or deferred."""
        self._wait(self._running_ids, FINAL | DEFERRED if or_deferred else FINAL, seconds)

    def restart(self) -> None:
        """Stop every host once its mails are done, and start as many."""
        running = [host for host in self.stack.hosts if host.running]
        with ThreadPoolExecutor(len(running)) as threads:
            list(threads.map(lambda host: host.stop(), running))
        self._start_hosts()

    def kill_and_replace(self) -> None:
        """Kill every running host, as a crash would, and start as many."""
        for host in self.stack.hosts:
            self._injected += host.running
            host.kill()
        statuses = self.statuses()
        # Of earlier scenarios too: a deferred mail can be sent during this one.
        sending = [message_id for message_id, status in statuses.items() if status == "sending"]
        self._handed_over |= {each for each in sending if (row := self._row(each)) and row.may_have_been_sent}
        self._claimed += sum(statuses.get(message_id) == "sending" for message_id in self._running_ids)
        self._at_graph += sum(
            request.status == 0
            for host in ("graph", "outlook")
            for request in self.stack.microsoft365.requests.all(host=host)
        )
        self._start_hosts()

    def freeze_storage(self, seconds: float) -> None:
        """Suspend the storage process for a while."""
        self._injected += 1
        os.kill(self.stack.azurite.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(self.stack.azurite.pid, signal.SIGCONT)

    def _consent(self, cleanup: ExitStack) -> None:
        self.admin = Admin(
            self.stack.api_url, self.stack.microsoft365.api_token(ADA), self.stack.authority.ca_file
        )
        cleanup.callback(self.admin.close)
        wanted = {
            "fromEmailAddress": self.mailbox,
            "largeFileAttachments": self.look_up,
            "authorization": "application" if self.by_the_app else "delegated",
        }
        permissions = ("Mail.Send", "Mail.ReadWrite") if self.look_up else ("Mail.Send",)
        self.stack.microsoft365.directory.change_app(CLIENT_ID, application_permissions=permissions)
        started = self.admin.call("POST", "tenant-settings/smtp/enable", wanted).json()
        BrowserClient(self.stack.authority.ca_file).consent(started["startUrl"], ADA)
        wait_for(lambda: self.admin.settings()["status"] == "enabled" or None, "the consent")

    def allow_named_properties(self, *, allowed: bool) -> None:
        """Set whether the mailbox has room for named properties (the mail key)."""
        self._injected += not allowed
        self.stack.microsoft365.directory.change_user(self.mailbox, room_for_named_properties=allowed)

    def limit_uploads(self, limit: int, seconds: float) -> None:
        """Limit the bytes uploaded to Graph in a time; 0 is unlimited."""
        self._injected += limit > 0
        behaviour = self.stack.microsoft365.behaviour
        behaviour.upload_limit, behaviour.upload_window = limit, seconds

    def limit_calls(self, limit: int, seconds: float) -> None:
        """Limit the calls that Graph accepts in a time."""
        self._injected += limit < UNLIMITED_CALLS
        behaviour = self.stack.microsoft365.behaviour
        behaviour.calls_limit, behaviour.calls_window = limit, seconds

    def _restore(self) -> None:
        self.allow_named_properties(allowed=True)
        self.limit_uploads(0, 300.0)
        self.limit_calls(UNLIMITED_CALLS, 600.0)
        delete_schedules(self.stack.azurite.connection_string)
        self.stack.microsoft365.faults.clear()
        behaviour = self.stack.microsoft365.behaviour
        behaviour.sent_items_lag, behaviour.transit_folder, behaviour.replica_lag = USUAL_LAG, "drafts", 0.0
        self.stack.key_vault.faults.clear()
        self.stack.identity.faults.clear()
        self._start_hosts()

    def _use(self, settings: Mapping[str, str], hosts: int) -> None:
        """Run this number of hosts with these settings; restart them if needed."""
        if (settings, hosts) == (self._settings, self._more_hosts):
            return
        self._settings, self._more_hosts = settings, hosts
        self.stack.stop_hosts()
        self._start_hosts()

    def _start_hosts(self) -> None:
        """Start missing hosts; without gates for measurements, as gates cost time."""
        gated = {"AzureWebJobsStorage": self.gates.connection_string} if self._gated else {}
        settings = {**gated, **self._settings}
        while sum(host.running for host in self.stack.hosts) < (self._more_hosts or self._hosts):
            self.stack.start_host(waits=Waits(lease=self._lease), settings=settings)

    def _wait(
        self,
        ids: Iterable[str],
        wanted: frozenset[str],
        seconds: float,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Wait for a limited time; the checks count what is unfinished."""
        started = reported = time.monotonic()
        open_ids = set(ids)
        while open_ids and time.monotonic() - started < seconds:
            statuses = self.statuses()
            open_ids = {each for each in open_ids if statuses.get(each) not in wanted}
            if open_ids and time.monotonic() - reported >= PROGRESS_SECONDS:
                reported = time.monotonic()
                some = ", ".join(self._described(each) for each in sorted(open_ids)[:8])
                report(f"{len(open_ids)} not finished: {some}")
            time.sleep(0.5)

    def _wait_until_reported(self, ids: Iterable[str], seconds: float, report: Callable[[str], None]) -> None:
        """Wait until the timer has repeated failed outcome messages."""
        started = time.monotonic()
        owed = set(ids)
        while owed and time.monotonic() - started < seconds:
            owed = {each for each in owed if (row := self._row(each)) and row.unreported_outcomes}
            if owed:
                report(f"{len(owed)} outcomes not reported yet")
                time.sleep(10)

    def _wait_for_any(self, wanted: frozenset[str], seconds: float) -> None:
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            statuses = self.statuses()
            if any(statuses.get(each) in wanted for each in self._running_ids):
                return
            time.sleep(0.1)
        self.report_violation(f"no mail was {' or '.join(sorted(wanted))} within {seconds:.0f} s")

    def _described(self, message_id: str) -> str:
        """Describe a mail by its status and the time of its next attempt."""
        row = self._row(message_id)
        if row is None:
            return f"{message_id} no row"
        until = f" until {row.next_attempt_at:%H:%M:%S}" if row.next_attempt_at else ""
        return f"{message_id} {row.status}{until}"

    def _row(self, message_id: str) -> Delivery | None:
        rows = list(self._table.query_entities("RowKey eq @id", parameters={"id": message_id}))
        return read_document(Delivery, rows[0]["Document"]) if rows else None

    def _wait_for_fault(self, before: int, seconds: float) -> None:
        """Wait until deferred mails are sent again and the fault occurs."""
        started = time.monotonic()
        while self.faults == before and time.monotonic() - started < seconds:
            time.sleep(0.1)

    def _check_invariants(self, result: Result) -> None:
        """Compare the rows with the mails that Graph accepted."""
        statuses = self.statuses()
        result.handed_over = self._handed_over & set(result.ids)
        mails: Counter[str] = Counter(mail.subject for mail in self.stack.microsoft365.mails())
        for message_id in result.ids:
            status, sent = statuses.get(message_id, "no row"), mails[message_id]
            result.statuses[status] += 1
            row = self._row(message_id)
            # A deferred mail may have been sent without its key in a later scenario.
            blind = not self.look_up or (row is not None and row.without_key)
            repeated = sent > 1 and blind and row is not None and _may_have_been_accepted(row)
            admitted = status == "unknown" and blind
            lost = sent == 0 and (status in {"accepted", "no row"} or (status == "unknown" and not admitted))
            duplicated = sent > 1 and not admitted and not repeated
            false_status = sent > 0 and status in NEVER_SENT
            result.lost += lost
            result.duplicated += duplicated
            result.repeated += repeated
            refused = result.all_accepted and status != "accepted"
            if self.outcomes and row is not None:
                reported = outcome_errors(row, self.reported.get(message_id, ()))
                result.violations += [f"{message_id}: {what}" for what in reported]
            if lost or duplicated or false_status or refused or not _is_allowed(result, message_id, status):
                result.violations.append(f"{message_id}: {status}, sent {sent} times")
        self._check_files(result)

    def _check_files(self, result: Result) -> None:
        for mail in self.stack.microsoft365.mails():
            if mail.subject in result.ids:
                files = FILES.get(_letter(mail.subject), ())
                if tuple(attachment.read() for attachment in mail.attachments) != files:
                    result.violations.append(f"{mail.subject}: a file differs")


def _is_allowed(result: Result, message_id: str, status: str) -> bool:
    """Return whether a mail may have this outcome after this kind of fault."""
    if message_id in result.handed_over:
        return True
    return (
        status == "accepted" if result.cause == "storage" else result.cause != "kill" or status != "unknown"
    )


def summary(results: Iterable[Result]) -> str:
    """Summarize outcomes of mails with only storage faults or kills."""
    counts: Counter[str] = Counter()
    for result in results:
        counts[result.cause] += len(result.ids)
        counts[f"{result.cause} accepted"] += result.statuses["accepted"]
        counts[f"{result.cause} unknown"] += result.statuses["unknown"]
        counts["handed over"] += len(result.handed_over) if result.cause == "kill" else 0
    accepted, total = counts["storage accepted"], counts["storage"]
    return (
        f"faults of storage alone: {accepted} of {total} mails ended as without them\n"
        f"kills: {counts['kill unknown']} of {counts['kill']} mails are unknown; "
        f"{counts['handed over']} were being handed over"
    )


def _may_have_been_accepted(row: Delivery) -> bool:
    """Return whether the history says that Graph may have accepted a mail."""
    return any(step.maybe_sent for step in row.history)


def _letter(message_id: str) -> str:
    return message_id.partition(":")[2][:1]
