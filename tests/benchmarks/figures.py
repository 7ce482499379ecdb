"""One measured ratio and its budget, and the page that shows them."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A ratio within one run."""

    what: str
    compared_with: str
    ratio: float
    budget: float
    how: str
    at_most: bool = True

    @property
    def is_met(self) -> bool:
        """Whether the budget holds."""
        return self.ratio <= self.budget if self.at_most else self.ratio >= self.budget


def page(figures: Iterable[Figure], sections: Iterable[str] = ()) -> str:
    """Write the figures as a page."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`. Each figure compares two values of one run on one machine, because",
        "absolute times on shared machines are not comparable.",
        "",
        "| what | compared with | ratio | budget | met | how |",
        "|---|---|---|---|---|---|",
    ]
    for figure in figures:
        bound = f"{'≤' if figure.at_most else '≥'} {figure.budget:g}"
        met = "yes" if figure.is_met else "**no**"
        cells = (figure.what, figure.compared_with, f"{figure.ratio:.2f}", bound, met, figure.how)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n\n".join(["\n".join(lines), *sections]) + "\n"
