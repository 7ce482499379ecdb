"""`make infra`: each step finds a planted fault or says it was skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.infra.__main__ import WITHOUT_BICEP
from tests.infra.gate import (
    STEPS,
    check_build,
    check_format,
    check_lint,
    check_snapshots,
    stale_files,
    update,
)
from tests.infra.project import ROOT, Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.infra.bicep import Bicep

    type Step = Callable[[Bicep, Path], Iterator[str]]

VAULT = "modules/vault.bicep"

#: What is broken, the step that must notice it, and what it must say.
FAULTS: list[tuple[str, str, str, Step, str]] = [
    (
        VAULT,
        "param location string",
        "param  location string",
        check_format,
        "vault.bicep:4 is not formatted",
    ),
    (VAULT, "  name: name\n", "  name: nam\n", check_build, "BCP057"),
    (VAULT, "enableRbacAuthorization:", "enableRbac:", check_build, "BCP037"),
    (VAULT, "recover ? 'recover'", "recover ? 'restore'", check_build, "BCP036"),
    (VAULT, "    sku: { family: 'A', name: 'standard' }\n", "", check_build, "BCP035"),
    (VAULT, "KeyVault/vaults@", "KeyVault/vault@", check_build, "BCP081"),
    ("main.bicep", "identity.outputs.clientId", "identity.outputs.client", check_build, "BCP083"),
    ("modules/alerts.bicep", "queries/mail-expired.kql", "queries/expired.kql", check_build, "BCP091"),
    (VAULT, "param name string", "param spare string\nparam name string", check_lint, "no-unused-params"),
    (VAULT, "vaults@2026-02-01", "vaults@2023-07-01", check_lint, "use-recent-api-versions"),
    (VAULT, "#disable-next-line use-recent-api-versions\n", "", check_lint, "use-recent-api-versions"),
    (VAULT, "softDeleteRetentionInDays: 7", "softDeleteRetentionInDays: 9", check_snapshots, 'InDays": 9'),
    ("queries/mail-expired.kql", "mail_expired", "mail_ended", check_snapshots, "mail_ended"),
    (
        "main.bicep",
        "deliveryRetentionDays int = 90",
        "deliveryRetentionDays int = 91",
        check_snapshots,
        "interface.json",
    ),
    ("snapshots/usgov.bicepparam", "'usgov'", "'moon'", check_snapshots, "BCP033"),
    (
        "snapshots/usgov.snapshot.json",
        '"outputs": {',
        '"outputs": {"SPARE": "",',
        check_snapshots,
        "usgov.snapshot.json",
    ),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of `infra/` under its own root."""
    shutil.copytree(ROOT / "infra", tmp_path / "infra", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    ("path", "old", "new", "step", "says"),
    FAULTS,
    ids=[f"{fault[3].__name__}: {fault[4]}" for fault in FAULTS],
)
def test_each_step_notices_a_planted_fault(
    path: str, old: str, new: str, step: Step, says: str, copy: Path, bicep: Bicep
) -> None:
    file = copy / "infra" / path
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")

    found = list(step(bicep, copy))

    assert any(says in finding for finding in found), found
    assert not any(str(copy) in finding for finding in found)


def test_a_file_that_is_right_passes_every_step(copy: Path, bicep: Bicep) -> None:
    assert [finding for step in STEPS for finding in step(bicep, copy)] == []


def test_snapshots_are_the_same_bytes_each_time(copy: Path, bicep: Bicep) -> None:
    committed = {path.name: path.read_bytes() for path in (ROOT / "infra/snapshots").iterdir()}

    update(bicep, copy)

    assert {path.name: path.read_bytes() for path in (copy / "infra/snapshots").iterdir()} == committed


def test_a_snapshot_without_its_parameter_file_is_stale(copy: Path) -> None:
    (copy / "infra/snapshots/usgov.bicepparam").unlink()
    (copy / "infra/snapshots/new.bicepparam").write_text("using '../main.bicep'\n")

    assert stale_files(Project.from_disk(copy)) == [
        "infra/snapshots/new.bicepparam",
        "infra/snapshots/usgov.bicepparam",
    ]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command on a PATH without Bicep."""
    outside = {name: value for name, value in os.environ.items() if name not in {"PATH", "GITHUB_ACTIONS"}}
    return subprocess.run(
        [sys.executable, "-m", "tests.infra", *arguments],
        cwd=ROOT,
        env=outside | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_without_bicep_one_line_states_what_was_skipped(tmp_path: Path) -> None:
    done = run(PATH=str(tmp_path))

    assert (done.returncode, done.stdout) == (0, f"{WITHOUT_BICEP}\n"), done.stderr


def test_github_fails_without_bicep(tmp_path: Path) -> None:
    done = run(PATH=str(tmp_path), GITHUB_ACTIONS="true")

    assert (done.returncode, done.stdout) == (1, f"{WITHOUT_BICEP}\n"), done.stderr


def test_without_bicep_no_snapshot_is_written(tmp_path: Path) -> None:
    done = run("update", PATH=str(tmp_path))

    assert done.returncode == 1
    assert "made by bicep" in done.stdout
