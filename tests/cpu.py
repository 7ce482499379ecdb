"""Measurement of whether the CPU time of an input grows linearly."""

import time
from collections.abc import Callable

LARGE = 1_000_000
SMALL = LARGE // 16
#: A linear algorithm takes 16 times as long, a quadratic one 256 times.
MAX_RATIO = 80.0
#: Below this, the clock and the first call of anything weigh more than the input.
NEGLIGIBLE_SECONDS = 0.05


def grows_linearly(call: Callable[[str], object], make: Callable[[int], str]) -> None:
    """Compare the CPU time of an input of 1 MB with a sixteenth of it.

    CPU time of this thread, so that other processes do not count; the best of three for the small one.
    """
    small, large = make(SMALL), make(LARGE)
    base = max(min(_cpu_seconds(call, small) for _ in range(3)), NEGLIGIBLE_SECONDS / MAX_RATIO)
    spent = _cpu_seconds(call, large)
    assert spent <= base * MAX_RATIO, f"{spent / base:.0f} times the CPU time for 16 times the input"


def _cpu_seconds(call: Callable[[str], object], text: str) -> float:
    start = time.thread_time()
    call(text)
    return time.thread_time() - start
