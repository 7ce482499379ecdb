"""All rules, in the order in which their findings help most. A rule is a function with a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.infra import (
    access,
    alerts,
    deployment,
    diagnostics,
    entra,
    names,
    policy,
    properties,
    settings,
    site,
    symbols,
    syntax,
    versions,
    workflows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.infra.project import Project

    type Rule = Callable[[Project], Iterator[str]]

MODULES = (
    syntax,
    symbols,
    properties,
    versions,
    policy,
    site,
    diagnostics,
    access,
    names,
    settings,
    entra,
    deployment,
    alerts,
    workflows,
)

RULES: dict[str, Rule] = {rule.__name__: rule for module in MODULES for rule in module.RULES}


@dataclass(frozen=True)
class Finding:
    """What a rule objects to."""

    rule: str
    says: str

    def __str__(self) -> str:
        return f"{self.says}  [{self.rule}]"


def check(project: Project) -> list[Finding]:
    """Run every rule; where the grammar is broken, nothing else can be trusted and nothing else is run."""
    broken = [Finding(rule.__name__, says) for rule in syntax.RULES for says in rule(project)]
    if broken:
        return broken
    return [Finding(name, says) for name, rule in RULES.items() for says in rule(project)]
