"""The functions of the app, as the Functions host sees them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from azure.functions.decorators.http import HttpTrigger
from azure.functions.decorators.timer import TimerTrigger

from function_app import app

if TYPE_CHECKING:
    from azure.functions.decorators.function_app import Function


@cache
def app_functions() -> tuple[Function, ...]:
    """Return the functions; `get_functions` fails on a second call."""
    return tuple(app.get_functions())


def functions_without_caller() -> set[str]:
    """Return the names of the functions whose failure no caller sees."""
    return {
        str(function.get_function_name())
        for function in app_functions()
        if not isinstance(function.get_trigger(), HttpTrigger)
    }


def timer_schedules() -> dict[str, str]:
    """Return the schedule of every timer by the name of its function."""
    return {
        str(function.get_function_name()): str(trigger.schedule)
        for function in app_functions()
        if isinstance(trigger := function.get_trigger(), TimerTrigger)
    }
