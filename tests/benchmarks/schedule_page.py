"""The table, the goals and two charts of the simulated schedule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.chart import Axis, Series, line_chart
from tests.benchmarks.simulation import Load, Result, simulate
from tests.benchmarks.tables import GOAL_HEAD, Goal, markdown_table

RATE = 30
_STRETCH = 15


@dataclass(frozen=True)
class Baseline:
    """The values measured before schedules existed; None if not measured."""

    calls: int | None = None
    refused: int | None = None
    minutes: float | None = None
    longest_wait: int | None = None


#: By mails, hosts and the minutes for which more arrive.
BEFORE: Mapping[tuple[int, int, int], Baseline] = {
    (100, 1, 0): Baseline(22, 15, 3.4),
    (1000, 1, 0): Baseline(186, 115, 34.7),
    (1000, 8, 0): Baseline(294, 1723, 55.9),
    (5000, 8, 0): Baseline(1295, 19222, 186.9),
    (600, 8, 960): Baseline(calls=239, longest_wait=458),
}
SIZES = ((100, 1), (100, 8), (1000, 1), (1000, 8), (5000, 1), (5000, 8))
_HEAD = (
    "mails, hosts",
    "pace",
    "storage calls per mail: before",
    "now",
    "tables, blobs, queue",
    "429s: before",
    "now",
    "all accepted, min: before",
    "now",
    "ideal",
    "longest wait, min",
    "first in, first out",
    "lost, twice",
)
CHART = "images/backlog-calls.svg"
_TEXT = f"""\
## A backlog of one mailbox, simulated

The real `deliver` of several hosts, run in virtual time (`python -m tests.benchmarks.simulation`); each run
has the same result. The mailbox accepts 4 concurrent requests and {RATE} mails in any 60 seconds, over all
hosts. A response takes 200 ms from Graph and 10 ms from storage. Polls of an empty queue are not counted.
*Before*: a simulation of the same mailbox when hosts did not share a schedule; an empty cell was not
measured. The pace (limit of mails per minute) is *learned* by default and *set* with
`MAILBOX_MESSAGES_PER_MINUTE={RATE}`. *Ideal*: the mailbox is used continuously and at an even rate. In the
last case of each pace 600 mails wait, and 29.5 new ones a minute arrive for 16 hours. Without a backlog, a
mail took 4 table calls before: the pause of sending, the settings, and its row twice.
"""


def loads() -> list[Load]:
    """List the simulated loads, the learned pace before the set one."""
    return [
        load
        for pace in (0, RATE)
        for load in (
            *(Load(mails, hosts, set_pace=pace) for mails, hosts in SIZES),
            Load(600, 8, arriving=29.5, minutes=960, set_pace=pace),
        )
    ]


def section(results: Sequence[Result], alone: int) -> tuple[str, bool]:
    """Return the table with its goals, and whether all goals are met.

    `alone` is the number of table calls without a backlog.
    """
    goals = _goals(results, alone)
    cheap = sum(each.calls_per_mail <= _STRETCH for each in results)
    parts = [
        _TEXT,
        markdown_table(_HEAD, [_row(result) for result in results], numbers_from=2),
        "",
        markdown_table(GOAL_HEAD, [goal.cells() for goal in goals]),
        "",
        f"At most {_STRETCH} storage calls per mail, the stretch goal: {cheap} of {len(results)} cases.",
        "",
        f"![Storage calls per mail, before and now]({CHART})",
    ]
    return "\n".join(parts), all(goal.is_met for goal in goals)


def chart(results: Sequence[Result]) -> str:
    """Draw the calls per mail over the size of the backlog."""
    learned = [result for result in results if not result.load.set_pace and not result.load.minutes]
    now = [
        Series(
            f"now, {_hosts(hosts)}, learned pace",
            [(each.mails, each.calls_per_mail) for each in learned if each.load.hosts == hosts],
            colour,
            dots=True,
        )
        for hosts, colour in ((1, 0), (8, 2))
    ]
    x = Axis("mails in the backlog", (100, 1000, 5000), logarithmic=True)
    y = Axis("storage calls per mail", (10, 20, 50, 100, 200, 500, 1000, 2000), logarithmic=True)
    before = [_before("before, 1 host", 1, 1), _before("before, 8 hosts", 8, 3)]
    return line_chart("Storage calls per mail for a backlog of one mailbox", x, y, [*before, *now])


def measure() -> tuple[list[Result], int]:
    """Run all simulations and count the table calls of a mail without backlog."""
    two, three = (simulate(Load(1, 1, arriving=0.2, minutes=minutes)) for minutes in (5, 10))
    return [simulate(load) for load in loads()], three.calls["tables"] - two.calls["tables"]


def _goals(results: Sequence[Result], alone: int) -> list[Goal]:
    learned = [result for result in results if not result.load.set_pace]
    set_pace = [result for result in results if result.load.set_pace]
    return [
        _goal("storage calls per mail, pace learned", 20, [(each.calls_per_mail, each) for each in learned]),
        _goal("storage calls per mail, pace set", 20, [(each.calls_per_mail, each) for each in set_pace]),
        _goal("429s beyond 1 % of the mails, pace learned", 20, [(_excess(each), each) for each in learned]),
        _goal("429s beyond 1 % of the mails, pace set", 0, [(_excess(each), each) for each in set_pace]),
        _goal("all accepted, against ideal, pace learned", 1.1, [(_late(each), each) for each in learned]),
        _goal("all accepted, against ideal, pace set", 1.05, [(_late(each), each) for each in set_pace]),
        _goal(
            "longest wait, against first in, first out",
            1.3,
            [(each.longest_wait / each.ideal_wait, each) for each in results],
        ),
        _goal("lost and sent twice", 0, [(each.lost + each.duplicates, each) for each in results]),
        Goal("table calls of a mail without a backlog", alone, 5, "its process is idle; 4 before"),
    ]


def _goal(what: str, most: float, values: Sequence[tuple[float, Result]]) -> Goal:
    worst, result = max(values, key=lambda each: each[0])
    return Goal(what, worst, most, _name(result.load))


def _excess(result: Result) -> float:
    return max(result.refused - result.mails / 100, 0)


def _late(result: Result) -> float:
    return result.times[-1] / result.ideal


def _name(load: Load) -> str:
    lasting = f" and {load.arriving:g} a minute for {load.minutes // 60} h" if load.minutes else ""
    return f"{load.mails:,}{lasting}, {_hosts(load.hosts)}"


def _hosts(number: int) -> str:
    return f"{number} host{'s' * (number > 1)}"


def _row(result: Result) -> list[str]:
    load = result.load
    before = BEFORE.get((load.mails, load.hosts, load.minutes), Baseline())
    wait = f"{before.longest_wait} → " if before.longest_wait else ""
    kinds = ", ".join(f"{result.calls[kind] / result.mails:.1f}" for kind in ("tables", "blobs", "queue"))
    return [
        _name(load),
        "set" if load.set_pace else "learned",
        _shown(before.calls),
        f"{result.calls_per_mail:.1f}",
        kinds,
        _shown(before.refused),
        f"{result.refused:,}",
        _shown(before.minutes),
        f"{result.times[-1] / 60:.1f}",
        f"{result.ideal / 60:.1f}",
        f"{wait}{result.longest_wait / 60:.1f}",
        f"{result.ideal_wait / 60:.1f}",
        f"{result.lost}, {result.duplicates}",
    ]


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:,}"


def _before(name: str, hosts: int, colour: int) -> Series:
    points = [
        (float(mails), float(before.calls or 0))
        for (mails, on, minutes), before in BEFORE.items()
        if on == hosts and not minutes
    ]
    return Series(name, points, colour, dashed=True, dots=True)
