"""`make bench`: measure everything, print it, and write docs/benchmarks.md."""

import sys
from pathlib import Path

from tests.benchmarks.backlog import backlog
from tests.benchmarks.cold_start import cold_start
from tests.benchmarks.figures import page
from tests.benchmarks.large_file import large_file
from tests.benchmarks.small_mail import small_mail

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def main() -> int:
    """Return 1 where a budget is missed."""
    figures = [cold_start(), *small_mail(), *large_file(), backlog()]
    text = page(figures)
    PAGE.write_text(text, "utf-8")
    print(text)
    return 0 if all(figure.met for figure in figures) else 1


sys.exit(main())
