"""Timer triggers: fired by the clock, and on demand through the admin address."""

import asyncio
import contextlib
from datetime import UTC, datetime

from tests.local_stack.host.dispatcher import Dispatcher, as_json
from tests.local_stack.host.schedules import Schedule
from tests.local_stack.host.settings import resolve
from tests.local_stack.host.worker import Function, Result


class Timer:
    """One timer function. Each of several hosts fires its own; the real ones share a lease."""

    def __init__(self, function: Function, dispatcher: Dispatcher) -> None:
        self.function = function
        self._dispatcher = dispatcher
        self._schedule = Schedule.parse(resolve(function.trigger["schedule"]))
        self._last: datetime | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Fire at each due time until the host stops."""
        if self.function.trigger.get("runOnStartup"):
            await self.fire()
        due = self._schedule.next_after(datetime.now(UTC))
        while not await _stopped_before(due, stopping):
            await self.fire()
            # A clock that was set back must not fire the same tick again.
            due = self._schedule.next_after(max(due, datetime.now(UTC)))

    async def fire(self) -> Result:
        """Run the function now."""
        now = datetime.now(UTC)
        status = {"Last": self._last or now, "Next": self._schedule.next_after(now), "LastUpdated": now}
        self._last = now
        info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": False}
        return await self._dispatcher.call(self.function, as_json(info), {})


async def _stopped_before(due: datetime, stopping: asyncio.Event) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), (due - datetime.now(UTC)).total_seconds())
    return stopping.is_set()
