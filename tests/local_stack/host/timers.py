"""Timer triggers, fired by the clock or through the admin address."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

from tests.local_stack.host.dispatcher import Dispatcher, as_json
from tests.local_stack.host.messages import Function, Result
from tests.local_stack.host.schedules import Schedule
from tests.local_stack.host.settings import resolve

#: More frequent schedules have no monitor, and a function sees no status of them.
MONITORED_FROM = timedelta(minutes=1)


class Timer:
    """One timer function; real hosts share a lease, these do not."""

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
        due = self._schedule.next_after(now)
        status = {"Last": self._last or now, "Next": due, "LastUpdated": now}
        self._last = now
        monitored = self._schedule.next_after(due) - due >= MONITORED_FROM
        info = {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": status if monitored else {},
            "IsPastDue": False,
        }
        reason = f"Timer fired at {now.isoformat()}"
        return await self._dispatcher.call(self.function, as_json(info), {}, reason=reason)


async def _stopped_before(due: datetime, stopping: asyncio.Event) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), (due - datetime.now(UTC)).total_seconds())
    return stopping.is_set()
