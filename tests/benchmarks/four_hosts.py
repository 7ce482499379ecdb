"""The backlog of one mailbox on four hosts with both Graph limits.

Graph refuses the fifth concurrent request, and a mail beyond the limit in the last 60 seconds.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from shared.storage_names import MAIL_OUTBOX
from tests.benchmarks.chart import Axis, Series, line_chart
from tests.benchmarks.simulation import Load, simulate
from tests.benchmarks.tables import GOAL_HEAD, Goal, markdown_table
from tests.faults.campaign import Campaign
from tests.local_stack.clients import wait_for

CHART = "images/backlog-accepted.svg"
MAILS = 100
HOSTS = 4
RATE = 30
LATENCY = 0.2
_WINDOW = 60.0
#: As host.json and the genuine host have them, where the campaign shortens them. In Azure one host fires a
#: timer, and here each would.
_SETTINGS = {
    "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:05",
    "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:03:00",
    "AzureWebJobs.release_waiting_mails.Disabled": "true",
}
_LEASE = 600
#: How many seconds the chart shows.
_SHOWN = 240
_TEXT = f"""\
## The same on real hosts

{MAILS} mails are queued at the same time in `{MAIL_OUTBOX}`, for {HOSTS} host processes on one Azurite, in
real time. The local Microsoft 365 accepts 4 concurrent requests of {LATENCY * 1000:.0f} ms and {RATE} mails
in any 60 seconds, as in the simulation. A proxy in front of Azurite counts the storage calls; polls of an
empty queue are not counted. Without a schedule, 100 mails on four hosts took 227 s, with 97 refusals, and 25
table and 10 blob calls per mail.
"""
_HEAD = (
    "pace",
    "tables, blobs, queue calls per mail",
    "together",
    "429s",
    "all accepted, s",
    "ideal, s",
    "lost, twice",
)


@dataclass(frozen=True)
class Run:
    """The result of a run; times are in seconds."""

    pace: int
    calls: Counter[str]
    refused: int
    accepted: list[float]
    lost: int
    twice: int

    @property
    def calls_per_mail(self) -> float:
        """Calls of storage of every kind."""
        return sum(self.calls.values()) / MAILS

    @property
    def ideal(self) -> float:
        """The time of the last mail if the mailbox were used without a gap."""
        return MAILS * _WINDOW / RATE


def measure(pace: int) -> Run:
    """Queue all mails at once; `pace`: MAILBOX_MESSAGES_PER_MINUTE."""
    settings = {**_SETTINGS, "MAILBOX_MESSAGES_PER_MINUTE": str(pace)}
    with Campaign(look_up=False, hosts=HOSTS, settings=settings, lease=_LEASE) as campaign:
        microsoft365 = campaign.stack.microsoft365
        behaviour = microsoft365.behaviour
        behaviour.latency = LATENCY
        behaviour.mails_limit, behaviour.mails_window = RATE, _WINDOW
        microsoft365.requests.clear()
        before = campaign.gates.calls
        begun = microsoft365.clock.now()
        for number in range(MAILS):
            campaign.queue(f"m-{number}")
        longest = 3 * MAILS * _WINDOW / RATE
        wait_for(lambda: len(microsoft365.mails()) >= MAILS or None, "all mails", longest)
        wait_for(lambda: campaign.count("accepted") == MAILS or None, "what their rows say", 60)
        mails = microsoft365.mails()
        subjects = Counter(mail.subject for mail in mails)
        return Run(
            pace,
            campaign.gates.calls - before,
            sum(request.status == 429 for request in microsoft365.requests.all(host="graph")),
            sorted((mail.at - begun).total_seconds() for mail in mails),
            MAILS - len(subjects),
            len(mails) - len(subjects),
        )


def section(runs: Sequence[Run]) -> tuple[str, bool]:
    """Return the table of these runs with its goals, and whether each is met."""
    goals = [goal for run in runs for goal in _goals(run)]
    parts = [
        _TEXT,
        markdown_table(_HEAD, [_row(run) for run in runs], numbers_from=2),
        "",
        markdown_table(GOAL_HEAD, [goal.cells() for goal in goals]),
        "",
        f"![Accepted mails over time, with the ideal]({CHART})",
    ]
    return "\n".join(parts), all(goal.is_met for goal in goals)


def chart(runs: Sequence[Run]) -> str:
    """Draw when mails were accepted: ideal, simulated and measured."""
    simulated = simulate(Load(MAILS, HOSTS, rate=RATE)).times
    names = {0: "real hosts, learned pace", RATE: f"real hosts, pace set to {RATE}"}
    series = [
        Series(f"ideal: {RATE} a minute", [(0.0, 0.0), (runs[0].ideal, float(MAILS))], 0, dashed=True),
        Series("simulated, learned pace", _steps(simulated), 3, dashed=True),
        *(Series(names[run.pace], _steps(run.accepted), colour) for colour, run in enumerate(runs, 1)),
    ]
    x = Axis("seconds since the mails were queued", range(0, _SHOWN + 1, 30))
    y = Axis("accepted mails", range(0, MAILS + 1, 20))
    return line_chart(f"{MAILS} mails on {HOSTS} hosts, a mailbox that takes {RATE} a minute", x, y, series)


def _steps(times: Sequence[float]) -> list[tuple[float, float]]:
    """Return how many were accepted by when, within the chart."""
    return [(0.0, 0.0), *((time, float(place)) for place, time in enumerate(times, 1) if time <= _SHOWN)]


def _goals(run: Run) -> list[Goal]:
    name = "pace set" if run.pace else "pace learned"
    return [
        Goal("storage calls per mail", run.calls_per_mail, 20, name),
        Goal("429s beyond 1 % of the mails", max(run.refused - MAILS / 100, 0), 0 if run.pace else 20, name),
        Goal("all accepted, against ideal", run.accepted[-1] / run.ideal, 1.05 if run.pace else 1.1, name),
        Goal("lost and sent twice", run.lost + run.twice, 0, name),
    ]


def _row(run: Run) -> list[str]:
    return [
        "set" if run.pace else "learned",
        ", ".join(f"{run.calls[kind] / MAILS:.1f}" for kind in ("table", "blob", "queue")),
        f"{run.calls_per_mail:.1f}",
        str(run.refused),
        f"{run.accepted[-1]:.0f}",
        f"{run.ideal:.0f}",
        f"{run.lost}, {run.twice}",
    ]
