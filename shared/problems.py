"""Explain problems with the texts of the catalogue `problems.toml`.

Each text is for the person who must act. Its parameters are validated values; text from other systems is
never one.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

from shared.forward_compatible import Stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: The replacement for a parameter that was not stored with the problem.
_NOT_RECORDED = "(not recorded)"
_MAX_FIELD_ERRORS = 20
_MAX_FIELD_CHARS = 200
#: Parameters may not have the names of an error's arguments.
_RESERVED = frozenset({"self", "code", "request_id"})


class Actor(StrEnum):
    """Who must act to solve the problem."""

    WORKSPACE_ADMIN = "workspace_admin"
    MICROSOFT365_ADMIN = "microsoft365_admin"
    OPERATOR = "operator"
    CALLER = "caller"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class FieldError(Stored):
    """An invalid field: its dotted path, and what is wrong with it."""

    field: str
    message: str


def limit_fields(fields: Iterable[FieldError]) -> Iterator[FieldError]:
    """Yield the first fields with shortened texts, and the number of others."""
    remaining = iter(fields)
    for found in islice(remaining, _MAX_FIELD_ERRORS):
        yield FieldError(found.field[:_MAX_FIELD_CHARS], found.message[:_MAX_FIELD_CHARS])
    more = sum(1 for _ in remaining)
    if more:
        yield FieldError("(whole body)", f"has {more} more broken fields")


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem with its texts."""

    code: str
    title: str
    detail: str
    who_acts: Actor

    def __str__(self) -> str:
        """Return code and text for a log line."""
        return f"{self.code}: {self.detail}"


@functools.cache
def catalogue() -> dict[str, Problem]:
    """Return every problem; its text still has the names of parameters."""
    entries = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return {
        code: Problem(code, entry["title"], entry["detail"], Actor(entry["who_acts"]))
        for code, entry in entries.items()
    }


@functools.cache
def _additions() -> dict[str, dict[str, str]]:
    """Return the optional texts of problems, each for one parameter.

    Such a text is left out if the problem does not have the parameter, for example because an older version
    of the app stored the problem.
    """
    entries = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return {code: entry.get("additions", {}) for code, entry in entries.items()}


def explain(code: str, **params: object) -> Problem:
    """Return the problem of a code, with its parameters in the text.

    Raises:
        KeyError: the code is not in the catalogue, or a parameter is missing; both are bugs.
    """
    problem = catalogue()[code]
    more = [text.format(**params) for name, text in _additions()[code].items() if name in params]
    detail = " ".join([problem.detail.format(**params), *more])
    return Problem(code, problem.title, detail, problem.who_acts)


def recall(code: str, params: Mapping[str, str]) -> Problem:
    """Explain a stored problem.

    Another version of the app may have stored it, with other parameters or a code that this version does not
    know.
    """
    known, complete = complete_record(code, params)
    return replace(explain(known, **complete), code=code)


def complete_record(code: str, params: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return a code that this version knows, and all of its parameters."""
    if code not in catalogue():
        return "recorded_by_other_version", {"recorded": code}
    named = {name for _, name, _, _ in Formatter().parse(catalogue()[code].detail) if name}
    given = {name: value for name, value in params.items() if name not in _RESERVED}
    return code, dict.fromkeys(named, _NOT_RECORDED) | given


def public_problem(code: str) -> Problem:
    """Explain a code without parameters, which the reader may not see."""
    problem = catalogue()[code] if code in catalogue() else recall(code, {})
    if "{" not in problem.detail:
        return problem
    return replace(problem, detail=f"{problem.title}. The Tenant Settings page says more.")
