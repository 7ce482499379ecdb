"""Order the work of a timer, so that each run begins elsewhere. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The golden ratio: multiples of it are spread evenly over the list (low-discrepancy sequence).
_STEP: Final = 0.618033988749895


def order_for_run[Work: (str, tuple[str, str])](work: Iterable[Work], run: int) -> list[Work]:
    """Return tenants or mails in the order for the run with this number.

    If the time of a run is too short for all of them, each is among the first after a few runs.
    """
    ordered = sorted(work)
    first = int(run * _STEP % 1 * len(ordered))
    return ordered[first:] + ordered[:first]
