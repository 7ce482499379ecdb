"""A host, a queue and a clock in memory, with faults at chosen calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from shared.deliveries.status import DeliveryStatus
from shared.errors import MailerError, OutcomeUnknownError, ProblemError, TransientError
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.sending.poison import record_poisoned
from shared.sending.rate_limit.throttle import Throttle
from tests.fakes import FakeMail, FakeServices

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery

#: As Azure's host does it: hidden for ten minutes when a worker dies, for `visibilityTimeout` when it fails.
LEASE = timedelta(minutes=10)
VISIBILITY = timedelta(minutes=3)
MAX_DEQUEUE_COUNT = 5
TIMER = timedelta(minutes=5)
MAX_STEPS = 400

PORTS = (
    "switch",
    "settings",
    "deliveries",
    "schedules",
    "requests",
    "drafts",
    "outbox",
    "files",
    "tokens",
    "transport",
)
SUBMITTING = frozenset({"send_mail", "send_draft"})


class Killed(BaseException):
    """The worker process was killed (SIGKILL)."""


class UnforeseenError(Exception):
    """A bug, or an unknown error of a library."""


class FaultKind(Enum):
    """The kinds of faults that a call can meet."""

    KILLED_BEFORE = auto()
    KILLED_AFTER = auto()
    UNAVAILABLE = auto()
    RESPONSE_LOST = auto()
    #: Carried out, with an error such as 503 as the response.
    REFUSED = auto()


@dataclass
class FaultInjector:
    """Counts the calls of ports and makes chosen ones fail.

    `faults` has the fault of each chosen call by its number.
    """

    faults: Mapping[int, FaultKind]
    calls: int = 0
    seen: list[str] = field(default_factory=list)

    def call(self, port: str, name: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        fault = self.faults.get(self.calls)
        self.calls += 1
        self.seen.append(f"{port}.{name}")
        if fault is FaultKind.KILLED_BEFORE:
            raise Killed
        if fault is FaultKind.UNAVAILABLE:
            raise TransientError("storage_unavailable", service=port)
        result = function(*args, **options)
        if fault is FaultKind.KILLED_AFTER:
            raise Killed
        if fault is FaultKind.REFUSED and name in SUBMITTING:
            raise TransientError("graph_unavailable")
        if fault in {FaultKind.RESPONSE_LOST, FaultKind.REFUSED}:
            raise _lost_response(port, name)
        return result


def _lost_response(port: str, name: str) -> MailerError:
    if name in SUBMITTING:
        return OutcomeUnknownError("outcome_unknown")
    return TransientError("storage_unavailable", service=port)


class FaultyPort:
    """A port whose calls pass through the fault injector."""

    def __init__(self, port: str, inner: Any, injector: FaultInjector) -> None:
        self._port, self._inner, self._injector = port, inner, injector

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found
        return lambda *args, **options: self._injector.call(self._port, name, found, *args, **options)


class FaultyServices:
    """The services with faulty ports."""

    def __init__(self, services: FakeServices, injector: FaultInjector) -> None:
        self._services = services
        for port in PORTS:
            setattr(self, port, FaultyPort(port, getattr(services, port), injector))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._services, name)


@dataclass(frozen=True)
class Queued:
    """A message in the queue."""

    visible: datetime
    queue_id: str
    text: bytes
    dequeued: int = 0


class FaultRun:
    """Processes queued mails until each has a final status."""

    def __init__(
        self, services: FakeServices, faults: Mapping[int, FaultKind], injector: FaultInjector | None = None
    ) -> None:
        self.services = services
        self.injector = injector or FaultInjector(faults)
        self.queue: list[Queued] = []
        self._last_number = 0
        self._ports: Any = FaultyServices(services, self.injector)
        services.throttle = Throttle(self._ports)
        self._timer = services.system.now()

    def put(self, text: bytes, delay: timedelta = timedelta(0)) -> None:
        """Queue a message."""
        self._last_number += 1
        self.queue.append(Queued(self.services.system.now() + delay, f"q-{self._last_number}", text))

    def run(self) -> None:
        """Process messages until every mail is final and the queue is empty."""
        for _ in range(MAX_STEPS):
            self._collect_outbox()
            if not self.queue and not self._has_unfinished_rows():
                return
            self._step()
        raise AssertionError(f"The mails did not become final: {self.queue}, {self.rows}")

    @property
    def rows(self) -> list[Delivery]:
        """All rows."""
        return list(self.services.deliveries.rows.values())

    @property
    def sent(self) -> list[FakeMail]:
        """All sent mails, with or without a copy in Sent Items."""
        drafts = [mail for mail in self.services.transport.mails.values() if mail.files and not mail.is_draft]
        whole = [FakeMail(_message(body), is_draft=False) for _, _, body in self.services.transport.sent]
        return whole + drafts

    def run_timer_for_a_day(self) -> None:
        """Run the timer twice while 26 hours pass."""
        for _ in range(2):
            self.services.system.pass_time(timedelta(hours=13))
            release_all(self.services)

    def _step(self) -> None:
        first = min(self.queue, key=lambda message: message.visible, default=None)
        system = self.services.system
        if first is None or first.visible > self._timer + TIMER:
            self._timer = max(system.now(), self._timer + TIMER)
            system.pass_time(self._timer - system.now())
            self._run_as_host(lambda: release_all(self._ports))
            return
        self.queue.remove(first)
        system.pass_time(max(timedelta(0), first.visible - system.now()))
        if first.dequeued >= MAX_DEQUEUE_COUNT:
            self._poison(first)
        else:
            self._deliver(first)

    def _deliver(self, message: Queued) -> None:
        wait = self._run_as_host(lambda: deliver(message.text, message.queue_id, self._ports))
        if wait is not None:
            again = self.services.system.now() + wait
            self.queue.append(replace(message, visible=again, dequeued=message.dequeued + 1))

    def _poison(self, message: Queued) -> None:
        wait = self._run_as_host(lambda: record_poisoned(message.text, f"p-{message.queue_id}", self._ports))
        if wait is not None:
            self.queue.append(replace(message, visible=self.services.system.now() + LEASE))

    def _run_as_host(self, work: Callable[[], None]) -> timedelta | None:
        """Run work as a host does; return the visibility timeout of a failure."""
        try:
            work()
        except Killed:
            self.services.throttle = Throttle(self._ports)
            return LEASE
        except (ProblemError, UnforeseenError):
            return VISIBILITY
        return None

    def _collect_outbox(self) -> None:
        for text, delay in self.services.outbox.messages:
            self.put(text, delay)
        self.services.outbox.messages.clear()

    def _has_unfinished_rows(self) -> bool:
        return any(not row.status.final for row in self.rows) or any(
            row.status is DeliveryStatus.SENDING for row in self.rows
        )


def _message(body: bytes) -> dict[str, Any]:
    import json

    found: dict[str, Any] = json.loads(body)["message"]
    return found
