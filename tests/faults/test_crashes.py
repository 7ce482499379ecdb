"""Mails under random faults: crashes, lost responses, throttling, bugs.

The seed of each mail determines its faults, so that a failure can be reproduced. Every mail becomes final;
its request is kept as long as it is needed; none is sent twice; and the status of a row says correctly
whether the mail was sent.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from shared.deliveries.status import DeliveryStatus
from shared.errors import OutcomeUnknownError, TransientError
from shared.sending.errors import ThrottledError, UploadInterruptedError
from shared.settings.sending_switch import SendingPause, SendingSwitch
from tests.builders import a_file, a_message, enabled_services, large_file_services
from tests.fakes import FakeServices, MemoryPause
from tests.faults.fault_run import SUBMITTING, FaultInjector, FaultRun, Killed, UnforeseenError

LARGE, SMALL = os.urandom(3_100_000), os.urandom(1000)
MAX_FAULTS = 12


def with_large_files() -> tuple[FakeServices, dict[str, Any]]:
    files = [a_file("large"), a_file("small"), a_file("large")]
    return large_file_services(large=LARGE, small=SMALL), {"attachments": files}


def small() -> tuple[FakeServices, dict[str, Any]]:
    return large_file_services(), {}


def small_without_looking_up() -> tuple[FakeServices, dict[str, Any]]:
    return enabled_services(), {}


@dataclass
class RandomFaultInjector(FaultInjector):
    """Injects faults at random and records them."""

    rng: random.Random = field(default_factory=random.Random)
    left: int = 0
    pauses: int = 0
    pause: Callable[[timedelta], None] = lambda _: None
    injected: list[str] = field(default_factory=list)

    def call(self, port: str, name: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if self.pauses and self.rng.random() < 0.05:
            self.pauses -= 1
            self.injected.append("paused")
            self.pause(timedelta(minutes=self.rng.randint(1, 40)))
        if not self.left or self.rng.random() > 0.12:
            return function(*args, **options)
        self.left -= 1
        after = self.rng.random() < 0.5
        error = self._choose_error(port, name, after=after)
        self.injected.append(f"{type(error).__name__} {'after' if after else 'before'} {port}.{name}")
        if after:
            function(*args, **options)
        raise error

    def _choose_error(self, port: str, name: str, *, after: bool) -> BaseException:
        pause = timedelta(seconds=5)
        kinds: list[BaseException] = [Killed(), UnforeseenError(), TransientError("graph_unavailable")]
        if port != "transport":
            kinds[2] = TransientError("storage_unavailable", service=port)
        elif name in SUBMITTING:
            kinds[2] = OutcomeUnknownError("outcome_unknown")
        elif name == "put_chunk":
            kinds.append(UploadInterruptedError())
        if port == "transport" and not after:
            kinds.append(ThrottledError(retry_after=pause, address="a"))
        return self.rng.choice(kinds)


class TimedPause(MemoryPause):
    """A pause of sending that ends by itself."""

    def __init__(self, services: FakeServices) -> None:
        super().__init__()
        self._system = services.system

    def begin(self, length: timedelta) -> None:
        self._until = self._system.now() + length
        self.pause = SendingPause(self._system.now())

    def load(self) -> SendingPause | None:
        if self.pause and self._system.now() >= self._until:
            self.remove()
        return super().load()


def run_with_faults(
    services: FakeServices, members: dict[str, Any], seed: int
) -> tuple[FaultRun, RandomFaultInjector]:
    rng = random.Random(seed)
    timed = TimedPause(services)
    services.switch = SendingSwitch(timed, services.system)
    injector = RandomFaultInjector(
        {},
        rng=rng,
        left=rng.randint(1, MAX_FAULTS),
        pauses=rng.choice((0, 0, 3)),
        pause=timed.begin,
    )
    run = FaultRun(services, {}, injector)
    mail = a_message(messageId="m-1", **members)
    run.put(mail)
    if seed % 3 == 0:
        run.put(mail, timedelta(seconds=rng.randint(0, 40)))
    run.run()
    if seed % 5 == 0:
        run.put(a_message(messageId="m-1", subject="Something else"))
        run.run()
    run.run_timer_for_a_day()
    return run, injector


@pytest.mark.parametrize(
    ("kind", "seeds"), [(with_large_files, 50), (small, 1000), (small_without_looking_up, 1000)]
)
def test_every_mail_gets_a_true_outcome_and_none_is_sent_twice(
    kind: Callable[[], tuple[FakeServices, dict[str, Any]]], seeds: int
) -> None:
    for seed in range(seeds):
        run, injector = run_with_faults(*kind(), seed)
        context = (seed, injector.injected, run.rows)

        (row,) = run.rows
        ends = {DeliveryStatus.ACCEPTED, DeliveryStatus.UNKNOWN, DeliveryStatus.EXPIRED}
        assert row.status in ends, context
        assert len(run.sent) <= 1, context
        if row.status is DeliveryStatus.ACCEPTED:
            assert len(run.sent) == 1, context
        else:
            assert run.services.requests.load(row.tenant_id, row.message_id), context
        if row.status is DeliveryStatus.EXPIRED:
            assert not run.sent, context
        assert not run.services.transport.drafts, context
        for mail in run.sent:
            assert [content for _, content in mail.files] in ([], [LARGE, SMALL, LARGE]), context
