"""Route templates of HTTP functions.

Sources: https://github.com/Azure/azure-functions-host/blob/89dc438d/src/WebJobs.Script.WebHost/WebScriptHostHttpRoutesManager.cs
and https://learn.microsoft.com/aspnet/core/fundamentals/routing. A wrong verb or a value that breaks a
constraint is no match, so it ends in 404 and never in 405.
"""

import re
from collections.abc import Callable
from typing import Any

from tests.local_stack.host.messages import Function
from tests.local_stack.host.settings import HostSettingError

PARAMETER = re.compile(r"(/?)\{(\*{0,2})(\w+)((?::\w+(?:\([^)]*\))?)*)(\??)\}")
CONSTRAINT = re.compile(r":(\w+)(?:\(([^)]*)\))?")
INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*").fullmatch
DECIMAL = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?\s*", re.IGNORECASE).fullmatch
GUID = re.compile(
    r"\s*(?:[\da-f]{32}|({)?(\()?[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}(?(1)})(?(2)\)))\s*", re.IGNORECASE
).fullmatch


def _integer(bits: int) -> Callable[[str], bool]:
    limit = 2 ** (bits - 1)
    return lambda value: INTEGER(value) is not None and -limit <= int(value) < limit


LONG = _integer(64)
CONSTRAINTS: dict[str, Callable[..., Any]] = {
    "alpha": re.compile("[A-Za-z]*").fullmatch,
    "bool": re.compile(r"\s*(?:true|false)\s*", re.IGNORECASE).fullmatch,
    "decimal": DECIMAL,
    "double": DECIMAL,
    "float": DECIMAL,
    "guid": GUID,
    "int": _integer(32),
    "length": lambda value, low, high=None: int(low) <= len(value) <= int(high or low),
    "long": LONG,
    "max": lambda value, high: LONG(value) and int(value) <= int(high),
    "maxlength": lambda value, high: len(value) <= int(high),
    "min": lambda value, low: LONG(value) and int(low) <= int(value),
    "minlength": lambda value, low: int(low) <= len(value),
    "range": lambda value, low, high: LONG(value) and int(low) <= int(value) <= int(high),
    "regex": lambda value, *pattern: re.search(",".join(pattern), value, re.IGNORECASE),
}


class Route:
    """A route template with its verbs."""

    def __init__(self, function: Function, prefix: str) -> None:
        self.function = function
        self._methods = function.trigger.get("methods")  # None: all verbs
        parts = (prefix, function.trigger.get("route") or function.name)
        self.template = "".join(f"/{part.strip('/')}" for part in parts if part)
        self._checks: list[tuple[str, str, list[str]]] = []
        self._pattern = re.compile(self._translate(self.template), re.IGNORECASE | re.DOTALL)

    @property
    def precedence(self) -> list[int]:
        """Return a route's sort key: text before constrained before free segments."""
        return [_rank(segment) for segment in re.split(r"/(?![^{]*\})", self.template)[1:]]

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the route values; None if verb, path or constraint differs."""
        found = None if "//" in path else self._pattern.fullmatch(path.removesuffix("/"))
        if not found or (self._methods and method not in self._methods):
            return None
        values = {name: value for name, value in found.groupdict().items() if value}
        checks = (check for check in self._checks if check[0] in values)
        fits = all(CONSTRAINTS[check](values[name], *arguments) for name, check, arguments in checks)
        return values if fits else None

    def _translate(self, template: str) -> str:
        """Convert a template to a regular expression and its constraints."""
        pattern, end = "", 0
        for found in PARAMETER.finditer(template):
            slash, stars, name, constraints, optional = found.groups()
            value = slash + (f"(?P<{name}>.*)" if stars else f"(?P<{name}>[^/]+)")
            pattern += re.escape(template[end : found.start()])
            pattern += f"(?:{value})?" if slash and (stars or optional) else value
            end = found.end()
            for check, arguments in CONSTRAINT.findall(constraints):
                self._checks.append((name, check, arguments.split(",") if arguments else []))
        if "{" in template[end:] or not {check for _, check, _ in self._checks} <= set(CONSTRAINTS):
            raise HostSettingError(f"The route {template!r} is not covered.")
        return pattern + re.escape(template[end:])


def _rank(segment: str) -> int:
    if "{" not in segment:
        return 1
    return 2 + (":" not in segment) + 2 * ("{*" in segment)
