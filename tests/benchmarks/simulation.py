"""A backlog of one mailbox on several hosts, simulated in virtual time.

The real `deliver` runs with everything outside it in memory. Storage calls are counted as the adapters make
them: a write that conflicts reads the row again. Polls of an empty queue are not counted. The hosts take
messages as the queue extension does with our host.json: one at a time, eight concurrently, and at most five
seconds between polls of an empty queue.
"""

import heapq
import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any
from unittest.mock import patch

from shared.adapters.retry_after import retry_after
from shared.deliveries.delivery import Delivery
from shared.errors import TransientError
from shared.mail_queue import Backlog
from shared.sending.deliver import deliver
from shared.sending.errors import ThrottledError
from shared.sending.rate_limit import concurrency, throttle
from shared.sending.rate_limit import mailbox_schedule as line
from shared.sending.rate_limit.schedule import Schedule
from shared.settings.sender import Sender
from shared.settings.sending_switch import SendingPause
from shared.settings.tenant import TenantSettings
from tests.benchmarks.virtual_time import Timeline, VirtualSystem, VirtualThreading
from tests.builders import a_message, some_settings
from tests.fakes import (
    CONFIG,
    CONTOSO,
    FakeGraph,
    FakeServices,
    MemoryDeliveries,
    MemoryPause,
    MemorySchedules,
    MemorySettings,
    MemoryTexts,
)

WORKERS = 8
_STORAGE_LATENCY = 0.01
_GRAPH_LATENCY = 0.2
_WINDOW = 60.0
_CONCURRENT = 4
#: Graph's response to the fifth request at once, as reported by its users.
_CONCURRENCY_RETRY_AFTER = 2.128
_MIN_POLL, _MAX_POLL = 0.1, 5.0


@dataclass(frozen=True)
class Load:
    """The simulated load; `rate` is the mailbox limit a minute, None for none."""

    mails: int
    hosts: int
    rate: int | None = 30
    #: Mails that arrive later: how many a minute, and for how many minutes.
    arriving: float = 0
    minutes: int = 0
    #: MAILBOX_MESSAGES_PER_MINUTE.
    set_pace: int = 0
    #: The `Retry-After` of its refusals in order, in place of the true time.
    retry_after: tuple[str | None, ...] = ()
    #: The time in which no host takes a message, in seconds.
    stopped: tuple[float, float] = (0.0, 0.0)
    seed: int = 1


@dataclass
class Result:
    """The result of a run; times are in seconds."""

    load: Load
    calls: Counter[str]
    refused: int
    queued: list[float]
    accepted: dict[str, list[float]]

    @property
    def mails(self) -> int:
        """How many were queued."""
        return len(self.queued)

    @property
    def calls_per_mail(self) -> float:
        """Storage calls of every kind."""
        return sum(self.calls.values()) / self.mails

    @property
    def lost(self) -> int:
        """How many were never accepted."""
        return self.mails - len(self.accepted)

    @property
    def duplicates(self) -> int:
        """How many mails were accepted twice."""
        return sum(len(times) - 1 for times in self.accepted.values())

    @property
    def times(self) -> list[float]:
        """When mails were accepted, in order."""
        return sorted(time for times in self.accepted.values() for time in times)

    @property
    def longest_wait(self) -> float:
        """The longest time from the queue to Exchange."""
        return max(times[0] - self.queued[int(name)] for name, times in self.accepted.items())

    @property
    def ideal(self) -> float:
        """The time of the last mail if the mailbox were used without a gap."""
        return self._ideal()[0]

    @property
    def ideal_wait(self) -> float:
        """The longest wait then, first in, first out."""
        return self._ideal()[1]

    def most_within(self, seconds: float) -> int:
        """Return the largest number accepted within any period of this length."""
        times, first, most = self.times, 0, 0
        for last, time in enumerate(times):
            while time - times[first] >= seconds:
                first += 1
            most = max(most, last - first + 1)
        return most

    def _ideal(self) -> tuple[float, float]:
        step = _WINDOW / self.load.rate if self.load.rate else _GRAPH_LATENCY / _CONCURRENT
        end = longest = 0.0
        for time in self.queued:
            end = max(end, time) + step
            longest = max(longest, end - time)
        return end, longest


@dataclass(order=True)
class _Message:
    visible: float
    number: int
    text: bytes = field(compare=False)
    queued: float = field(compare=False)


class _Simulation:
    """The queue, storage and Graph that all hosts share."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.timeline = Timeline()
        self.system = VirtualSystem(self.timeline, load.seed)
        self.threading = VirtualThreading(self.timeline)
        self.calls: Counter[str] = Counter()
        self.queue: list[_Message] = []
        self.numbers = count()
        self.accepted: dict[str, list[float]] = {}
        self.queued: list[float] = []
        self.in_flight = 0
        self.window: deque[float] = deque()
        self.refused = 0
        self.in_work = 0
        self.deliveries = _Deliveries(simulation=self)
        self.requests = _Texts(simulation=self)
        self.drafts = _Texts(simulation=self)
        self.schedules = _Schedules(simulation=self)
        self.settings = _Settings(simulation=self)
        self.settings.rows[CONTOSO] = some_settings()
        self.pause_store = _Pause(simulation=self)
        self.arrivals = load.mails + round(load.arriving * load.minutes)

    def call(self, kind: str, calls: int = 1) -> None:
        """Count storage calls and let each take its time."""
        self.calls[kind] += calls
        self.timeline.sleep(_STORAGE_LATENCY * calls)

    def put(self, text: bytes, delay: timedelta) -> None:
        """Queue a message."""
        visible = self.timeline.time + max(delay.total_seconds(), 0)
        heapq.heappush(self.queue, _Message(visible, next(self.numbers), text, self.timeline.time))

    def queue_mails(self) -> None:
        """Queue the mails, as a scheduler does."""
        for _ in range(self.load.mails):
            self._queue_mail()
        for _ in range(self.arrivals - self.load.mails):
            self.timeline.sleep(_WINDOW / self.load.arriving)
            self._queue_mail()

    def _queue_mail(self) -> None:
        name = len(self.queued)
        self.queued.append(self.timeline.time)
        self.put(a_message(messageId=str(name), subject=str(name)), timedelta(0))

    def done(self) -> bool:
        """Whether every mail was accepted and no message is left."""
        return len(self.accepted) == self.arrivals and not self.queue and not self.in_work

    def run_host(self, services: FakeServices) -> None:
        """Process messages until the queue is empty."""
        free = self.threading.Semaphore(WORKERS)
        poll = _MIN_POLL
        self.timeline.sleep(self.system.jitter() * _MIN_POLL)
        while True:
            free.acquire()
            if not self._has_message():
                free.release()
                self.timeline.sleep(poll)
                poll = min(poll * (1.5 + self.system.jitter()), _MAX_POLL)
                continue
            message = heapq.heappop(self.queue)
            self.in_work += 1
            poll = _MIN_POLL
            self.call("queue")
            self.timeline.start(partial(self._work, message, services, free.release))

    def _has_message(self) -> bool:
        now = self.timeline.time
        first, last = self.load.stopped
        return bool(self.queue) and self.queue[0].visible <= now and not first <= now < last

    def _work(self, message: _Message, services: FakeServices, done: Callable[[], None]) -> None:
        waited = timedelta(seconds=self.timeline.time - message.queued)
        deliver(message.text, f"q-{message.number}", services, waited)
        self.call("queue")
        self.in_work -= 1
        done()


class _Outbox:
    def __init__(self, simulation: _Simulation) -> None:
        self._simulation = simulation

    def put(self, text: bytes, delay: timedelta) -> None:
        self._simulation.call("queue")
        self._simulation.put(text, delay)

    def backlog(self) -> Backlog:
        return Backlog(0, None)

    def poison_length(self) -> int:
        return 0


@dataclass
class _Deliveries(MemoryDeliveries):
    simulation: _Simulation = field(kw_only=True)

    def add(self, delivery: Delivery) -> Delivery | None:
        new = (delivery.tenant_id, delivery.message_id) not in self.rows
        self.simulation.call("tables", 1 if new else 2)
        return super().add(delivery)

    def save(self, delivery: Delivery) -> Delivery | None:
        self.simulation.call("tables", 1 if self._unchanged(delivery) else 2)
        return self._write(delivery) if self._unchanged(delivery) else self._written(delivery)

    def find(self, tenant_id: str, message_id: str) -> Delivery | None:
        self.simulation.call("tables")
        return super().find(tenant_id, message_id)

    def _unchanged(self, delivery: Delivery) -> bool:
        known = self.rows.get((delivery.tenant_id, delivery.message_id))
        return known is not None and known.etag == delivery.etag

    def _written(self, delivery: Delivery) -> Delivery | None:
        # Its call is counted with the write.
        known = self.rows.get((delivery.tenant_id, delivery.message_id))
        return known if known and known.claim_id == delivery.claim_id is not None else None


@dataclass
class _Texts(MemoryTexts):
    simulation: _Simulation = field(kw_only=True)

    def save(self, tenant_id: str, message_id: str, text: bytes) -> None:
        self.simulation.call("blobs")
        super().save(tenant_id, message_id, text)

    def load(self, tenant_id: str, message_id: str) -> bytes | None:
        self.simulation.call("blobs")
        return super().load(tenant_id, message_id)

    def remove(self, tenant_id: str, message_id: str) -> None:
        self.simulation.call("blobs")
        super().remove(tenant_id, message_id)


@dataclass
class _Settings(MemorySettings):
    simulation: _Simulation = field(kw_only=True)

    def load(self, tenant_id: str) -> TenantSettings:
        # It takes no time, because it is read under a lock of the process as well.
        self.simulation.calls["tables"] += 1
        return super().load(tenant_id)

    def check_owner(self, tenant_id: str) -> None:
        """Do nothing: a process reads the owner only every five minutes."""


@dataclass
class _Schedules(MemorySchedules):
    simulation: _Simulation = field(kw_only=True)

    def load(self, key: str) -> tuple[Schedule, datetime | None]:
        self.simulation.call("tables")
        return super().load(key)

    def save(self, key: str, schedule: Schedule) -> Schedule | None:
        self.simulation.call("tables")
        return super().save(key, schedule)


@dataclass
class _Pause(MemoryPause):
    simulation: _Simulation = field(kw_only=True)

    def load(self) -> SendingPause | None:
        self.simulation.calls["tables"] += 1
        return super().load()


@dataclass
class _Graph(FakeGraph):
    """A mailbox with limits on concurrent requests and on mails a minute."""

    simulation: _Simulation = field(kw_only=True)

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        simulation = self.simulation
        crowded = simulation.in_flight >= _CONCURRENT
        wait = _CONCURRENCY_RETRY_AFTER if crowded else self._count()
        simulation.in_flight += 1
        simulation.timeline.sleep(_GRAPH_LATENCY)
        simulation.in_flight -= 1
        if wait is not None:
            simulation.refused += 1
            raise _throttled(sender, self._retry_after(wait))
        name = _subject(body)
        simulation.accepted.setdefault(name, []).append(simulation.timeline.time)
        return f"request-{name}"

    def _retry_after(self, wait: float) -> timedelta | None:
        odd = self.simulation.load.retry_after
        if not odd:
            return timedelta(seconds=wait)
        return retry_after(odd[self.simulation.refused % len(odd)], self.simulation.system.now())

    def _count(self) -> float | None:
        """Count a mail; return the wait if the mailbox accepts no more."""
        now, window, rate = self.simulation.timeline.time, self.simulation.window, self.simulation.load.rate
        while window and now - window[0] >= _WINDOW:
            window.popleft()
        if rate is not None and len(window) >= rate:
            return math.ceil(window[0] + _WINDOW - now)
        window.append(now)
        return None


def _throttled(sender: Sender, wait: timedelta | None) -> TransientError:
    error = ThrottledError(
        retry_after=wait,
        address=sender.mailbox_address,
        graph_code="ApplicationThrottled",
    )
    error.maybe_sent_anyway = True
    return error


def _subject(body: bytes) -> str:
    mark = b'"subject":"'
    first = body.index(mark) + len(mark)
    return body[first : body.index(b'"', first)].decode()


def _services(simulation: _Simulation) -> FakeServices:
    """Build one host's services with shared storage."""
    services = FakeServices(
        system=simulation.system,
        config=replace(CONFIG, mailbox_messages_per_minute=simulation.load.set_pace),
        settings=simulation.settings,
        deliveries=simulation.deliveries,
        requests=simulation.requests,
        drafts=simulation.drafts,
        outbox=_Outbox(simulation),
        pause_store=simulation.pause_store,
        schedules=simulation.schedules,
        transport=_Graph(simulation=simulation),
    )
    services.vault.write(f"smtp-{CONTOSO}-1", "tokens")
    return services


def simulate(load: Load, *, longest: float = 72 * 3600) -> Result:
    """Run until every mail was accepted, or so many seconds have passed."""
    simulation = _Simulation(load)
    with (
        patch.object(line, "threading", simulation.threading),
        patch.object(throttle, "threading", simulation.threading),
        patch.object(concurrency, "threading", simulation.threading),
    ):
        for _ in range(load.hosts):
            simulation.timeline.start(partial(simulation.run_host, _services(simulation)))
        simulation.timeline.start(simulation.queue_mails)
        simulation.timeline.run(until=longest, done=simulation.done)
    return Result(load, simulation.calls, simulation.refused, simulation.queued, simulation.accepted)


_HEAD = (
    "mails",
    "hosts",
    "storage calls per mail",
    "tables, blobs, queue",
    "429s",
    "all accepted (min)",
    "ideal",
    "longest wait (min)",
    "first in, first out",
    "lost, twice",
)


def table(results: Iterable[Result]) -> str:
    """Write the results as a table."""
    lines = [f"| {' | '.join(_HEAD)} |", "|---" * len(_HEAD) + "|", *(_line(result) for result in results)]
    return "\n".join(lines)


def _line(result: Result) -> str:
    kinds = ", ".join(f"{result.calls[kind] / result.mails:.1f}" for kind in ("tables", "blobs", "queue"))
    cells: list[Any] = [
        result.mails,
        result.load.hosts,
        f"{result.calls_per_mail:.1f}",
        kinds,
        result.refused,
        f"{result.times[-1] / 60:.1f}",
        f"{result.ideal / 60:.1f}",
        f"{result.longest_wait / 60:.1f}",
        f"{result.ideal_wait / 60:.1f}",
        f"{result.lost}, {result.duplicates}",
    ]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


_LOADS = (
    *(Load(mails, hosts) for mails in (100, 1000, 5000) for hosts in (1, 8)),
    Load(1000, 8, set_pace=30),
    Load(600, 8, arriving=29.5, minutes=960),
    Load(600, 8, arriving=29.5, minutes=960, set_pace=30),
)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(table(simulate(load) for load in _LOADS))
