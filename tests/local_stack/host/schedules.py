"""Timer schedules: NCRONTAB with six fields, in UTC. Pure.

Sources: https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer, "NCRONTAB expressions",
and https://github.com/atifaziz/NCrontab: unlike in cron, a day must fit the day field and the weekday field.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Self

from tests.local_stack.host.settings import HostSettingError

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
#: Lowest and highest value of each field, and the names for its values.
FIELDS: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (0, 59, ()),
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, MONTHS),
    (0, 6, WEEKDAYS),
)
PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")
#: The longest pause that a date can have: 29 February over a century without a leap year.
MAX_DAYS = 8 * 366


@dataclass(frozen=True)
class Schedule:
    """The times at which a timer fires."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `second minute hour day month weekday`.

        Raises:
            HostSettingError: it is no such schedule.
        """
        fields = text.split()
        if len(fields) != len(FIELDS):
            raise HostSettingError(f"The schedule {text!r} does not have six fields.")
        return cls(*(_values(field, *rule) for field, rule in zip(fields, FIELDS, strict=True)))

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time later than a moment.

        Raises:
            HostSettingError: there is none, as for 30 February.
        """
        moment = moment.astimezone(UTC)
        for offset in range(MAX_DAYS):
            day = (moment + timedelta(days=offset)).replace(hour=0, minute=0, second=0, microsecond=0)
            if not self._matches_day(day):
                continue
            for hour, minute, second in product(self.hours, self.minutes, self.seconds):
                due = day.replace(hour=hour, minute=minute, second=second)
                if due > moment:
                    return due
        raise HostSettingError("The schedule never comes.")

    def _matches_day(self, day: datetime) -> bool:
        sunday_first = day.isoweekday() % 7
        return day.month in self.months and day.day in self.days and sunday_first in self.weekdays


def _values(field: str, low: int, high: int, names: tuple[str, ...]) -> tuple[int, ...]:
    """List the values of a field: `*`, `5`, `1-5`, `*/10`, `1-9/2`, names."""
    values: set[int] = set()
    for part in field.split(","):
        found = PART.fullmatch(part)
        if found is None:
            raise HostSettingError(f"{field!r} is no field of a schedule.")
        first, last, step = found.groups()
        start = low if first is None else _number(first, low, names)
        # As in NCrontab, `3/10` begins at 3 and continues to the end of the field.
        single = first is not None and last is None and step is None
        end = start if single else high if last is None else _number(last, low, names)
        if not low <= start <= end <= high or step == "0":
            raise HostSettingError(f"{field!r} is no field of a schedule from {low} to {high}.")
        values.update(range(start, end + 1, int(step or 1)))
    return tuple(sorted(values))


def _number(text: str, low: int, names: tuple[str, ...]) -> int:
    if text.isdecimal():
        return int(text)
    prefixes = [name[:3] for name in names]
    if text[:3].upper() not in prefixes:
        raise HostSettingError(f"{text!r} is no value of a schedule.")
    return low + prefixes.index(text[:3].upper())
