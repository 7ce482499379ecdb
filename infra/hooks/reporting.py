"""Print the output of a hook or a deployment without ever failing.

A hook that fails makes azd stop a successful deployment, and a program that no longer reads the output of
azd interrupts it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def report(text: str) -> None:
    """Print a text; an unusable or closed console is no error."""
    try:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):
        # Python flushes it once more at its end, and would end with 120.
        sys.stdout = None


def run_step(name: str, step: Callable[[], None]) -> None:
    """Run a step; an unexpected error is printed and not raised."""
    try:
        step()
    except Exception as error:  # noqa: BLE001 - the edge: azd would end the deployment
        report(f"{name} stopped: {type(error).__name__}: {error}\n")
