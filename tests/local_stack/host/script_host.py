"""The script host: the functions and triggers of an app and its errors."""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Protocol

from tests.local_stack.host.console import Console
from tests.local_stack.host.dispatcher import Dispatcher
from tests.local_stack.host.listener import QueueListener
from tests.local_stack.host.messages import Function, Indexed, Result, TypedData
from tests.local_stack.host.options import Waits
from tests.local_stack.host.settings import HostSettingError, HostSettings, resolve
from tests.local_stack.host.storage import StorageQueues
from tests.local_stack.host.timers import Timer

BINDINGS = frozenset({"httpTrigger", "http", "queueTrigger", "queue", "timerTrigger"})
POLL_SECONDS = 0.05
NO_FUNCTIONS = (
    "No job functions found. Try making your job classes and methods public. If you're using binding "
    "extensions (e.g. Azure Storage, ServiceBus, Timers, etc.) make sure you've called the registration "
    "method for the extension(s) in your startup code."
)
BY_HAND = "This function was programmatically called via the host APIs."


class TriggerSource(Protocol):
    """A trigger of functions: a queue listener or a timer."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Run functions until stopped, then wait for running ones."""


class Triggers:
    """Starts and stops the triggers of functions."""

    def __init__(self, sources: Sequence[TriggerSource]) -> None:
        self._sources = sources
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def drained(self) -> bool:
        """Whether nothing new is taken."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Start to accept work."""
        self._stopping = asyncio.Event()
        self._tasks += [asyncio.create_task(each.run(self._stopping)) for each in self._sources]

    def drain(self) -> None:
        """Accept no more work; running functions continue."""
        self._stopping.set()

    async def resume(self) -> None:
        """Accept work again after a drain."""
        if self.drained:
            self.start()

    async def stop(self) -> None:
        """Stop at once; messages in work stay hidden until their lease ends."""
        self.drain()
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks)


class ScriptHost:
    """An app's functions and triggers; an app with errors runs without any."""

    def __init__(self, indexed: Indexed, dispatcher: Dispatcher, console: Console) -> None:
        self.error = indexed.error
        self.functions: dict[str, Function] = {}
        self.disabled: set[str] = set()
        self.in_error: dict[str, str] = {}
        self.timers: dict[str, Timer] = {}
        self.triggers = Triggers([])
        self._indexed = indexed
        self._dispatcher = dispatcher
        self._console = console

    @property
    def state(self) -> str:
        return "Running"

    @property
    def running(self) -> int:
        """How many invocations run."""
        return len(self._dispatcher.running)

    def load(self, settings: HostSettings, queues: StorageQueues, waits: Waits) -> None:
        """Build the triggers; functions that cannot have one are in error.

        Raises:
            HostSettingError: a binding is not covered by this host.
        """
        listeners: list[QueueListener] = []
        for function in self._indexed.functions:
            problem = _problem(function)
            if problem:
                self._record_function_error(function, problem)
                continue
            self.functions[function.name] = function
            if function.trigger["type"] == "timerTrigger":
                self.timers[function.name] = Timer(function, self._dispatcher)
            if _is_disabled(function):
                self.disabled.add(function.name)
            elif function.trigger["type"] == "queueTrigger":
                queue_settings, lease = settings.queues, waits.lease
                listeners.append(
                    QueueListener(function, self._dispatcher, queues, queue_settings, self._console, lease)
                )
        if not self.functions:
            self._console.write("Host.Startup", "warning", NO_FUNCTIONS)
        timers = [timer for name, timer in self.timers.items() if name not in self.disabled]
        self.triggers = Triggers([*listeners, *timers])

    @property
    def enabled(self) -> list[Function]:
        """The functions that their triggers may run."""
        return [each for name, each in self.functions.items() if name not in self.disabled]

    def find(self, name: str) -> Function | None:
        """Return a function by its name, whatever its case."""
        names = {known.casefold(): function for known, function in self.functions.items()}
        return names.get(name.casefold())

    async def run_by_hand(self, function: Function, value: TypedData) -> Result:
        """Run a timer or queue function now."""
        timer = self.timers.get(function.name)
        if timer:
            return await timer.fire()
        return await self._dispatcher.call(function, value, {}, reason=BY_HAND)

    async def wait_for_triggered(self, seconds: float) -> None:
        """Wait for running queue and timer functions, for limited seconds.

        New messages are still taken.
        """
        for _ in range(int(seconds / POLL_SECONDS)):
            running = self._dispatcher.running.values()
            if all(function.trigger["type"] == "httpTrigger" for function in running):
                return
            await asyncio.sleep(POLL_SECONDS)

    def _record_function_error(self, function: Function, problem: str) -> None:
        self.in_error[function.name] = problem
        text = f"The '{function.name}' function is in error: {problem}"
        self._console.write("Host.Startup", "error", text)


def _problem(function: Function) -> str:
    """Return why the host leaves a function out; empty if it does not.

    Raises:
        HostSettingError: this host doesn't cover a binding.
    """
    for binding in function.bindings:
        if binding["type"] not in BINDINGS or "{" in binding.get("queueName", ""):
            raise HostSettingError(f"{function.name}: the binding {binding} is not covered.")
    route = str(function.trigger.get("route") or "")
    if route.casefold().split("/")[0] == "admin":
        return "The specified route conflicts with one or more built in routes."
    return _unresolved(function)


def _is_disabled(function: Function) -> bool:
    """Tell whether a setting disables a function; it can still be called."""
    return os.environ.get(f"AzureWebJobs.{function.name}.Disabled", "").casefold() in ("true", "1")


def _unresolved(function: Function) -> str:
    for binding in function.bindings:
        for name in ("queueName", "schedule"):
            try:
                resolve(str(binding.get(name, "")))
            except HostSettingError as error:
                return f"{error} '{binding[name]}' does not resolve to a value."
    return ""
