"""A lazy member is built once for all threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from shared.lazy import built_once, lazy

THREADS = 8


class Slow:
    """Counts how often its member is built."""

    def __init__(self) -> None:
        self.built = 0

    @lazy
    def member(self) -> object:
        self.built += 1
        time.sleep(0.02)
        return object()


def test_a_lazy_member_is_built_once_for_all_threads() -> None:
    slow, gate = Slow(), threading.Barrier(THREADS)

    def read(_: int) -> object:
        gate.wait()
        return slow.member

    with ThreadPoolExecutor(THREADS) as pool:
        found = set(pool.map(read, range(THREADS)))

    assert (len(found), slow.built) == (1, 1)


def test_a_function_builds_once_for_each_argument_for_all_threads() -> None:
    gate, built = threading.Barrier(THREADS), list[str]()

    @built_once
    def build(name: str) -> object:
        built.append(name)
        time.sleep(0.02)
        return object()

    def call(number: int) -> object:
        gate.wait()
        return build("ab"[number % 2])

    with ThreadPoolExecutor(THREADS) as pool:
        found = set(pool.map(call, range(THREADS)))

    assert len(found) == 2
    assert sorted(built) == ["a", "b"]
