"""Tables of the page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A bound on the worst of some measured values."""

    what: str
    worst: float
    most: float
    where: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the goal is met by the rounded figure."""
        return round(self.worst, 2) <= self.most

    def cells(self) -> tuple[str, ...]:
        """Return the cells of its table row."""
        return (
            self.what,
            f"≤ {self.most:g}",
            f"{self.worst:.2f}".rstrip("0").rstrip("."),
            self.where,
            "yes" if self.is_met else "**no**",
        )


GOAL_HEAD = ("goal", "bound", "worst", "of", "met")


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers_from: int = 99) -> str:
    """Write a table; from a column on, cells are right-aligned."""
    rule = ["---:" if place >= numbers_from else "---" for place in range(len(head))]
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(rule)}|"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)
