"""The gate is only worth what it catches: break a copy, and the right rule has to object."""

from __future__ import annotations

import pytest

from tests.infra import syntax
from tests.infra.gate import RULES
from tests.infra.mutations import MUTATIONS, Mutation
from tests.infra.project import Project

PROJECT = Project.from_disk()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.rule}: {m.new.strip()[:40] or 'nothing'}")
def test_the_gate_objects_to_what_was_broken(mutation: Mutation) -> None:
    rule = RULES[mutation.rule]
    broken = PROJECT.with_change(mutation.path, mutation.old, mutation.new)

    before, after = set(rule(PROJECT)), set(rule(broken))

    assert after - before


@pytest.mark.parametrize(
    "mutation", [m for m in MUTATIONS if m.rule not in {r.__name__ for r in syntax.RULES}]
)
def test_a_mutation_is_more_than_broken_grammar(mutation: Mutation) -> None:
    """Otherwise another rule would get the credit for what the grammar caught."""
    broken = PROJECT.with_change(mutation.path, mutation.old, mutation.new)

    assert [says for rule in syntax.RULES for says in rule(broken)] == []


def test_every_rule_is_shown_to_object() -> None:
    assert {mutation.rule for mutation in MUTATIONS} == set(RULES)


def test_a_mutation_that_changes_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="does not contain"):
        PROJECT.with_change("azure.yaml", "no such text", "")
