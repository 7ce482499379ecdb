"""Build a shared object once, at its first use, for all threads."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Building one member may build another, so the lock is reentrant.
_BUILDING = threading.RLock()

if TYPE_CHECKING:
    # Type checkers know that a `cached_property` can be replaced, in an object and in a subclass.
    lazy = functools.cached_property
else:

    class lazy(functools.cached_property):  # noqa: N801 - read as the decorator that it is
        """A member that is built once, even if several threads read it first."""

        def __get__(self, instance: object | None, owner: type | None = None) -> object:
            """Build it, or return what another thread has built meanwhile."""
            with _BUILDING:
                return super().__get__(instance, owner)


def built_once[*Given, Kept](build: Callable[[*Given], Kept]) -> Callable[[*Given], Kept]:
    """Keep what a function builds for each of its arguments.

    With `functools.cache`, threads that call it first at the same time would each build an object.
    """
    built: dict[tuple[object, ...], Kept] = {}

    @functools.wraps(build)
    def found(*given: *Given) -> Kept:
        if given not in built:
            with _BUILDING:
                if given not in built:
                    built[given] = build(*given)
        return built[given]

    return found
