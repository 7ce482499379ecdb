"""What can go wrong, in words: the catalogue of `problems.toml`, filled with facts.

A sentence is for the person who must act. It is filled with facts that we vetted, never with text
that came from outside unread.
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

from shared.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Stands in a sentence for a fact that was not stored with the problem.
_NOT_RECORDED = "(not recorded)"
_MAX_FIELD_ERRORS = 20
_MAX_FIELD_CHARS = 200
#: Facts may not have the names of the parameters of an error.
_RESERVED = frozenset({"self", "code", "request_id"})


class Actor(StrEnum):
    """Who must act before it works again."""

    WORKSPACE_ADMIN = "workspace_admin"
    MICROSOFT365_ADMIN = "microsoft365_admin"
    OPERATOR = "operator"
    CALLER = "caller"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class FieldError(Stored):
    """One broken field: its dotted path, and what is wrong with it."""

    field: str
    message: str


def first_of(fields: Iterable[FieldError]) -> Iterator[FieldError]:
    """Return fields, of many only the first and how many more there are; their texts are cut."""
    remaining = iter(fields)
    for found in islice(remaining, _MAX_FIELD_ERRORS):
        yield FieldError(found.field[:_MAX_FIELD_CHARS], found.message[:_MAX_FIELD_CHARS])
    more = sum(1 for _ in remaining)
    if more:
        yield FieldError("(whole body)", f"has {more} more broken fields")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that went wrong, in words."""

    code: str
    title: str
    sentence: str
    who_acts: Actor

    def __str__(self) -> str:
        """Say code and sentence, as a log line needs them."""
        return f"{self.code}: {self.sentence}"


@functools.cache
def catalogue() -> dict[str, Problem]:
    """Read every problem, its sentence still with braces."""
    entries = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return {
        code: Problem(code, entry["title"], entry["sentence"], Actor(entry["who_acts"]))
        for code, entry in entries.items()
    }


@functools.cache
def _additions() -> dict[str, dict[str, str]]:
    """Read what a sentence says more where a fact is there; what is stored of older versions may lack it."""
    entries = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return {code: entry.get("additions", {}) for code, entry in entries.items()}


def explain(code: str, **facts: object) -> Problem:
    """Fill the sentence of a code, and add a sentence for each fact that has one.

    Raises:
        KeyError: the code is not in the catalogue, or a fact of its sentence is missing; both are bugs.
    """
    problem = catalogue()[code]
    more = [text.format(**facts) for fact, text in _additions()[code].items() if fact in facts]
    sentence = " ".join([problem.sentence.format(**facts), *more])
    return Problem(code, problem.title, sentence, problem.who_acts)


def recall(code: str, facts: Mapping[str, str]) -> Problem:
    """Explain a stored problem; another version may have given it other facts, or a code of its own."""
    known, complete = recorded(code, facts)
    return replace(explain(known, **complete), code=code)


def recorded(code: str, facts: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the code of the catalogue under which a stored problem is explained, and all facts for it."""
    if code not in catalogue():
        return "recorded_by_other_version", {"recorded": code}
    named = {name for _, name, _, _ in Formatter().parse(catalogue()[code].sentence) if name}
    given = {name: fact for name, fact in facts.items() if name not in _RESERVED}
    return code, dict.fromkeys(named, _NOT_RECORDED) | given


def outline(code: str) -> Problem:
    """Explain a code without facts, where somebody may read it who may not know them."""
    problem = catalogue()[code] if code in catalogue() else recall(code, {})
    if "{" not in problem.sentence:
        return problem
    return replace(problem, sentence=f"{problem.title}. The Tenant Settings page says more.")
