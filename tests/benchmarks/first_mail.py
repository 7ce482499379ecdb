"""The time of one mail from the queue to Exchange, warm and cold."""

import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.tables import markdown_table
from tests.faults.campaign import Campaign
from tests.local_stack.stack import QUICK

ROUNDS = 5
_HEAD = ("one mail from the queue to accepted", "compared with", "ratio", "how")
_IMPORT = "importing azure.functions in a fresh process"
_ROUND_TRIP = "a table round trip to Azurite"
_TEXT = f"""\
## One mail, cold and warm

Medians of {ROUNDS} runs, with the local host, Azurite and a local Microsoft 365 without latency. *Cold* is
the start of the host and worker processes; Azure additionally needs time to allocate an instance. The queue
is polled every 0.2 s here; with the `maxPollingInterval` of host.json a mail waits up to 5 s longer for the
next poll of an idle queue.
"""


@dataclass(frozen=True)
class Times:
    """Medians, in seconds."""

    cold: float
    first: float
    warm: float
    imported: float
    round_trip: float


def section() -> tuple[str, bool]:
    """Measure; no goal is set for these."""
    times = measure()
    rows = [
        _row("the first mail of a host that has to start", times.cold, _IMPORT, times.imported),
        _row("of that: after the host listens", times.first, _IMPORT, times.imported),
        _row("a mail of a host that sent one before", times.warm, _ROUND_TRIP, times.round_trip),
    ]
    return f"{_TEXT}\n{markdown_table(_HEAD, rows)}", True


def measure() -> Times:
    """Measure in turn, on one stack."""
    with Campaign(look_up=False, hosts=1, gated=False, settings=QUICK) as campaign:
        warm, cold, first, imported, trips = [], [], [], [], []
        _send(campaign, "before")
        for number in range(ROUNDS):
            warm.append(_send(campaign, f"warm-{number}"))
            trips.append(_round_trip(campaign))
            imported.append(_import_seconds())
            campaign.stack.stop_hosts()
            campaign.queue(f"cold-{number}")
            begun = time.perf_counter()
            campaign.stack.start_host()
            listens = time.perf_counter()
            _wait_for_mail(campaign, f"cold-{number}")
            arrived = time.perf_counter()
            cold.append(arrived - begun)
            first.append(max(arrived - listens, 0))
    return Times(*(median(each) for each in (cold, first, warm, imported, trips)))


def _send(campaign: Campaign, message_id: str) -> float:
    begun = time.perf_counter()
    campaign.queue(message_id)
    _wait_for_mail(campaign, message_id)
    return time.perf_counter() - begun


def _wait_for_mail(campaign: Campaign, message_id: str) -> None:
    """Poll more often than `wait_for`, which waits longer than a mail takes."""
    until = time.monotonic() + 60
    while all(mail.subject != message_id for mail in campaign.stack.microsoft365.mails()):
        if time.monotonic() > until:
            raise TimeoutError(message_id)
        time.sleep(0.005)


def _round_trip(campaign: Campaign) -> float:
    begun = time.perf_counter()
    campaign.statuses()
    return time.perf_counter() - begun


def _import_seconds() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import azure.functions"], check=True, timeout=60)
    return time.perf_counter() - begun


def _row(what: str, seconds: float, compared_with: str, other: float) -> tuple[str, ...]:
    how = f"{seconds * 1000:.0f} ms against {other * 1000:.0f} ms"
    return what, compared_with, f"{seconds / other:.1f}", how
