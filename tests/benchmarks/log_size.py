"""The cost of pages and timers with up to 100,000 mails in the log.

The rows are those that the app writes, but written in batches of a hundred. Every size has the same number of
mails to retry, of rejected mails, and of mails old enough to be removed.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched
from statistics import median
from unittest.mock import patch

from azure.data.tables import TableClient

from shared.adapters import delivery_table
from shared.bootstrap import Services
from shared.deliveries.delivery import Delivery
from shared.deliveries.recipient_summary import RecipientSummary
from shared.deliveries.retention import remove_finished
from shared.deliveries.status import PENDING, DeliveryStatus
from shared.sending.maintenance import release_all
from tests.benchmarks.tables import GOAL_HEAD, Goal, markdown_table
from tests.faults.campaign import Campaign
from tests.local_stack.clients import Admin
from tests.local_stack.microsoft365.contoso import ADA, CONTOSO

SIZES = (1_000, 10_000, 100_000)
_DEFERRED = 20
_REJECTED = 3
_DUE = 200
_ROUNDS = 7
#: Mails are spread over the time before the one that is retained.
_SPREAD = timedelta(days=80)
_OLD = timedelta(days=100)
_SETTINGS = {
    "AzureWebJobs.release_waiting_mails.Disabled": "true",
    "AzureWebJobs.remove_finished_deliveries.Disabled": "true",
}
_ROW = "Azurite itself: one row by its keys"
_RANGE = "Azurite itself: the first 51 rows of a range of keys"
_CONTROLS = (_ROW, _RANGE)
#: A page of a rare status reads up to five times, and the caller's settings are read as well.
_MAX_REQUESTS = 8
_TEXT = f"""\
## A long delivery log

Storage requests and time of each call, for different numbers of mails in one tenant's log on Azurite. The
first calls use the API of a running host; the timers' functions run with the real adapters. Requests are the
median and times the best of {_ROUNDS}; times are relative to those with {SIZES[0]:,} mails. In each log
{_DEFERRED} mails wait for a retry, {_REJECTED} of the oldest were rejected, and {_DUE} are so old that the
retention timer removes them. The last two lines show how Azurite's own time grows. A page of a rare final
status reads at most about 4,000 rows and then returns a continuation token, so it grows up to that limit.
"""


@dataclass(frozen=True)
class Cost:
    """Requests and the best time, in seconds, of one call."""

    requests: int
    seconds: float


type Costs = dict[str, Cost]


def section() -> tuple[str, bool]:
    """Measure each size; return the section, and whether each goal is met."""
    costs = measure(SIZES)
    names = list(costs[0])
    goals = _goals(costs, names)
    sizes = [f"{size:,} mails" for size in SIZES]
    head = [
        "call",
        *(f"requests, {size}" for size in sizes),
        *(f"time, {size}" for size in sizes[1:]),
        f"ms, {sizes[-1]}",
    ]
    table = markdown_table(head, [_row(name, costs) for name in names], numbers_from=1)
    met = markdown_table(GOAL_HEAD, [goal.cells() for goal in goals])
    return f"{_TEXT}\n{table}\n\n{met}", all(goal.is_met for goal in goals)


def measure(sizes: Iterable[int]) -> list[Costs]:
    """Fill one log step by step, and measure at each step."""
    found = []
    with Campaign(look_up=False, hosts=1, settings=_SETTINGS) as campaign, _services(campaign) as services:
        token = campaign.stack.microsoft365.api_token(ADA)
        admin = Admin(campaign.stack.api_url, token, campaign.stack.authority.ca_file)
        log = _Log(campaign._table)
        for size in sizes:
            log.fill(size)
            found.append(_measured(campaign, admin, log, services))
        admin.close()
    return found


def _measured(campaign: Campaign, admin: Admin, log: "_Log", services: Services) -> Costs:
    calls: dict[str, Callable[[], object]] = {
        "one mail, GET /deliveries/{id}": lambda: admin.read(f"deliveries/{log.some_id}"),
        "a page of the list": lambda: admin.read("deliveries?limit=50"),
        "a page of a rare status, `rejected`": lambda: admin.read("deliveries?limit=50&status=rejected"),
        "a page of a rare status, `deferred`": lambda: admin.read("deliveries?limit=50&status=deferred"),
        "the settings page": admin.settings,
        "the timer that releases mails": lambda: release_all(services),
    }
    costs = {name: _cost(campaign, [call] * _ROUNDS) for name, call in calls.items()}
    costs["the timer that removes old mails"] = _cost(
        campaign, [lambda: remove_finished(services)] * 3, log.add_due
    )
    costs[_ROW] = _cost(campaign, [lambda: campaign._table.get_entity(CONTOSO, log.some_id)] * _ROUNDS)
    costs[_RANGE] = _cost(campaign, [log.first_rows] * _ROUNDS)
    return costs


def _cost(
    campaign: Campaign,
    calls: Iterable[Callable[[], object]],
    before_each: Callable[[], object] = lambda: None,
) -> Cost:
    """Measure several times; only the first run has uncached reads."""
    requests, seconds = [], []
    for call in calls:
        before_each()
        counted, begun = campaign.gates.calls, time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
        requests.append((campaign.gates.calls - counted).total())
    return Cost(int(median(requests)), min(seconds))


@contextmanager
def _services(campaign: Campaign) -> Iterator[Services]:
    """Build the app's services on the campaign's stack."""
    environment = campaign.stack.environment() | {"AzureWebJobsStorage": campaign.gates.connection_string}
    with patch.dict(os.environ, environment):
        yield Services()


class _Log:
    """Writes mails into the log."""

    def __init__(self, table: TableClient) -> None:
        self._table = table
        self._now = datetime.now(UTC)
        self._count = self._due = 0

    @property
    def some_id(self) -> str:
        """A mail in the middle of the log."""
        return _id(self._count // 2)

    def first_rows(self) -> list[object]:
        """Read the rows of one page of the list."""
        rows = self._table.query_entities(
            "PartitionKey eq @tenant and RowKey gt '!' and RowKey lt '#'",
            parameters={"tenant": CONTOSO},
            results_per_page=51,
        )
        return list(next(rows.by_page()))

    def fill(self, size: int) -> None:
        """Add mails until there are so many."""
        first, self._count = self._count, size
        self._write(self._mail(place, size) for place in range(first, size))

    def add_due(self) -> None:
        """Add the mails that the retention removes."""
        self._due += _DUE
        old = self._now - _OLD
        self._write(
            _delivery(f"due-{number:07d}", DeliveryStatus.ACCEPTED, old + timedelta(seconds=number))
            for number in range(self._due - _DUE, self._due)
        )

    def _mail(self, place: int, size: int) -> Delivery:
        at = self._now - _SPREAD * ((place * 7919) % size + 1) / (size + 1)
        if place < _DEFERRED:
            return _delivery(
                _id(place),
                DeliveryStatus.DEFERRED,
                self._now,
                next_attempt_at=self._now + timedelta(hours=20),
            )
        if place < _DEFERRED + _REJECTED:
            return _delivery(_id(place), DeliveryStatus.REJECTED, self._now - _SPREAD)
        return _delivery(_id(place), DeliveryStatus.ACCEPTED, at)

    def _write(self, mails: Iterable[Delivery]) -> None:
        rows = (row for mail in mails for row in _rows(mail))
        for some in batched(rows, 100, strict=False):
            self._table.submit_transaction([("upsert", row) for row in some])


def _id(place: int) -> str:
    return f"mail-{place:07d}"


def _delivery(
    message_id: str, status: DeliveryStatus, at: datetime, next_attempt_at: datetime | None = None
) -> Delivery:
    new = Delivery(CONTOSO, message_id, DeliveryStatus.SENDING, at, at, at, recipients=RecipientSummary(to=1))
    sending = new.transition(DeliveryStatus.SENDING, at)
    return sending.transition(status, at, request_id="request", next_attempt_at=next_attempt_at)


def _rows(mail: Delivery) -> Iterator[dict[str, object]]:
    yield delivery_table._row(mail)
    yield delivery_table._time_index_row(mail)
    if mail.status in PENDING:
        yield delivery_table._pending_index_row(mail)


def _row(name: str, costs: list[Costs]) -> list[str]:
    first = costs[0][name].seconds
    requests = ["" if name in _CONTROLS else str(each[name].requests) for each in costs]
    return [
        name,
        *requests,
        *(f"{each[name].seconds / first:.1f}" for each in costs[1:]),
        f"{costs[-1][name].seconds * 1000:.0f}",
    ]


def _goals(costs: list[Costs], names: list[str]) -> list[Goal]:
    waited_for = [name for name in names if name not in _CONTROLS]
    steady = [name for name in waited_for if "`rejected`" not in name]
    growth = max(steady, key=lambda name: costs[-1][name].requests - costs[0][name].requests)
    return [
        Goal(
            "more requests than with the shortest log",
            costs[-1][growth].requests - costs[0][growth].requests,
            0,
            "every call but the page of `rejected`",
        ),
        Goal(
            "requests of a page of a rare status",
            max(each[name].requests for each in costs for name in names if "rare" in name),
            _MAX_REQUESTS,
            f"up to {SIZES[-1]:,} mails",
        ),
    ]
