"""What can go wrong, in words: the catalogue of `problems.toml`, filled with facts.

A sentence is for the person who must act. It is filled with facts that we vetted, never with text
that came from outside unread.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path


class Actor(StrEnum):
    """Who must act before it works again."""

    WORKSPACE_ADMIN = "workspace_admin"
    MICROSOFT365_ADMIN = "microsoft365_admin"
    OPERATOR = "operator"
    CALLER = "caller"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken field: its dotted path, and what is wrong with it."""

    field: str
    message: str


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


def explain(code: str, **facts: object) -> Problem:
    """Fill the sentence of a code.

    Raises:
        KeyError: the code is not in the catalogue, or a fact of its sentence is missing; both are bugs.
    """
    problem = catalogue()[code]
    return Problem(code, problem.title, problem.sentence.format(**facts), problem.who_acts)


def outline(code: str) -> Problem:
    """Explain a code without facts, where somebody may read it who may not know them.

    Raises:
        KeyError: the code is not in the catalogue, which is a bug.
    """
    problem = catalogue()[code]
    if "{" not in problem.sentence:
        return problem
    return replace(problem, sentence=f"{problem.title}. The Tenant Settings page says more.")
