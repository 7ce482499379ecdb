"""What stands under `infra/` passes the gate, and the gate says what it does."""

from __future__ import annotations

import subprocess
import sys

from tests.infra.gate import RULES, check
from tests.infra.project import ROOT, Project


def test_the_infrastructure_passes_every_rule() -> None:
    assert [str(finding) for finding in check(Project.from_disk())] == []


def test_every_rule_says_in_a_sentence_what_it_wants() -> None:
    without = [name for name, rule in RULES.items() if not (rule.__doc__ or "").rstrip().endswith(".")]

    assert without == []


def test_broken_grammar_silences_the_other_rules() -> None:
    """They would report nonsense about a file that cannot be read."""
    broken = Project.from_disk().with_change("infra/modules/vault.bicep", "properties: {", "properties {")

    assert {finding.rule for finding in check(broken)} == {"bicep_parses"}


def test_a_parameter_may_be_given_as_a_value_instead_of_a_variable() -> None:
    """The runbook tells operators to do so."""
    path, last = "infra/main.parameters.json", '"recoverVault"'
    added = '"logRetentionDays": { "value": 60 }, "silence": { "value": "P1D" }'
    project = Project.from_disk().with_change(path, last, f"{added}, {last}")

    assert [str(finding) for finding in check(project)] == []


def test_the_command_says_what_it_checked_and_that_it_is_no_compiler() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.infra"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 0, done.stdout
    assert "Grammar" in done.stdout
    assert "Not a compiler" in done.stdout
