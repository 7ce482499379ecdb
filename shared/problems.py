"""Explain problems with the texts of the catalogue `problems.toml`.

A text is for the person who must act. Its parameters are validated, never unread text from outside.
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


def first_of(fields: Iterable[FieldError]) -> Iterator[FieldError]:
    """Return the first fields and how many more there are, with cut texts."""
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
    """Read every problem, its text still with braces."""
    entries = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return {
        code: Problem(code, entry["title"], entry["detail"], Actor(entry["who_acts"]))
        for code, entry in entries.items()
    }


@functools.cache
def _additions() -> dict[str, dict[str, str]]:
    """Read the optional texts, each for one parameter.

    Problems stored by older versions may lack it.
    """
    entries = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return {code: entry.get("additions", {}) for code, entry in entries.items()}


def explain(code: str, **params: object) -> Problem:
    """Fill the text of a code, and add one for each optional parameter.

    Raises:
        KeyError: the code is not in the catalogue, or a parameter is missing; both are bugs.
    """
    problem = catalogue()[code]
    more = [text.format(**params) for name, text in _additions()[code].items() if name in params]
    detail = " ".join([problem.detail.format(**params), *more])
    return Problem(code, problem.title, detail, problem.who_acts)


def recall(code: str, params: Mapping[str, str]) -> Problem:
    """Explain a stored problem, which another version may have written.

    It may have other parameters, or another code.
    """
    known, complete = recorded(code, params)
    return replace(explain(known, **complete), code=code)


def recorded(code: str, params: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the known code for a stored problem, and all its parameters."""
    if code not in catalogue():
        return "recorded_by_other_version", {"recorded": code}
    named = {name for _, name, _, _ in Formatter().parse(catalogue()[code].detail) if name}
    given = {name: value for name, value in params.items() if name not in _RESERVED}
    return code, dict.fromkeys(named, _NOT_RECORDED) | given


def public_problem(code: str) -> Problem:
    """Explain a code without parameters, for readers who may not know them."""
    problem = catalogue()[code] if code in catalogue() else recall(code, {})
    if "{" not in problem.detail:
        return problem
    return replace(problem, detail=f"{problem.title}. The Tenant Settings page says more.")
