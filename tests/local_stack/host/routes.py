"""Route templates of HTTP functions.

Source: https://github.com/Azure/azure-functions-host/blob/89dc438d/src/WebJobs.Script.WebHost/WebScriptHostHttpRoutesManager.cs.
A wrong verb or a value that breaks a constraint is no match, so it ends in 404 and never in 405.
"""

import re
from collections.abc import Callable
from typing import Any

from tests.local_stack.host.settings import HostSettingError
from tests.local_stack.host.worker import Function

PARAMETER = re.compile(r"(/?)\{(\*{0,2})(\w+)((?::\w+(?:\([^)]*\))?)*)(\??)\}")
CONSTRAINT = re.compile(r":(\w+)(?:\(([^)]*)\))?")
INTEGER = re.compile(r"[+-]?\d+").fullmatch
DECIMAL = re.compile(r"[+-]?\d*\.?\d+").fullmatch
GUID = re.compile(r"[\da-f]{8}-?([\da-f]{4}-?){3}[\da-f]{12}", re.IGNORECASE).fullmatch
CONSTRAINTS: dict[str, Callable[..., Any]] = {
    "alpha": re.compile("[A-Za-z]*").fullmatch,
    "bool": re.compile("true|false", re.IGNORECASE).fullmatch,
    "decimal": DECIMAL,
    "double": DECIMAL,
    "float": DECIMAL,
    "guid": GUID,
    "int": INTEGER,
    "length": lambda value, low, high=None: int(low) <= len(value) <= int(high or low),
    "long": INTEGER,
    "max": lambda value, high: INTEGER(value) and int(value) <= int(high),
    "maxlength": lambda value, high: len(value) <= int(high),
    "min": lambda value, low: INTEGER(value) and int(low) <= int(value),
    "minlength": lambda value, low: int(low) <= len(value),
    "range": lambda value, low, high: INTEGER(value) and int(low) <= int(value) <= int(high),
    "regex": lambda value, *pattern: re.search(",".join(pattern), value, re.IGNORECASE),
}


class Route:
    """A route template with its verbs; templates with fewer parameters are tried first."""

    def __init__(self, function: Function, prefix: str) -> None:
        self.function = function
        self._methods = function.trigger.get("methods")  # None: all verbs
        parts = (prefix, function.trigger.get("route") or function.name)
        template = "".join(f"/{part.strip('/')}" for part in parts if part)
        self.specificity = template.count("{*"), template.count("{"), -template.count(":")
        self._checks: list[tuple[str, str, list[str]]] = []
        self._pattern = re.compile(self._translate(template), re.IGNORECASE)

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the route values, or None where verb, path or a constraint doesn't fit."""
        found = self._pattern.fullmatch(path)
        if not found or (self._methods and method not in self._methods):
            return None
        values = {name: value for name, value in found.groupdict().items() if value}
        checks = (check for check in self._checks if check[0] in values)
        fits = all(CONSTRAINTS[check](values[name], *arguments) for name, check, arguments in checks)
        return values if fits else None

    def _translate(self, template: str) -> str:
        """Turn a template into a regular expression and note its constraints."""
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
