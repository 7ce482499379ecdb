"""The cost of importing the app compared with the framework alone."""

import subprocess
import sys

from tests.benchmarks.figures import Figure

BUDGET = 1.3
ROUNDS = 15

TIMED = "import time; t = time.process_time(); import {module}; print(time.process_time() - t)"


def cold_start() -> Figure:
    """Compare CPU time of both imports in fresh processes, best of rounds."""
    rounds = [(_cpu_seconds("azure.functions"), _cpu_seconds("function_app")) for _ in range(ROUNDS)]
    framework = min(one for one, _ in rounds)
    app = min(other for _, other in rounds)
    return Figure(
        "importing function_app",
        "importing azure.functions",
        app / framework,
        BUDGET,
        at_most=True,
        how=f"CPU time, best of {ROUNDS} alternating rounds, a fresh process each: "
        f"{app * 1000:.0f} ms against {framework * 1000:.0f} ms",
    )


def _cpu_seconds(module: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(module=module)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return float(done.stdout)
