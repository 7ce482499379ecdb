"""Files for editors, pre-commit and Dependabot, compared with the tree."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from infra.build_package import build
from tests.deployment.pins import ROOT, pins, tracked_files
from tests.local_stack.__main__ import _parser

if TYPE_CHECKING:
    from pathlib import Path

HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
DEPENDABOT = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text("utf-8"))
LAUNCHES = json.loads((ROOT / ".vscode/launch.json").read_text("utf-8"))["configurations"]
TASKS = json.loads((ROOT / ".vscode/tasks.json").read_text("utf-8"))["tasks"]
CONTAINER = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text("utf-8"))
CI = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
BINARY = re.compile(r"\.(png|ico|pfx|zip)$")


def text_files() -> dict[str, str]:
    return {path: (ROOT / path).read_bytes().decode() for path in tracked_files() if not BINARY.search(path)}


def test_every_file_has_the_line_ends_of_the_editorconfig() -> None:
    files = text_files()

    assert [path for path, text in files.items() if text and not text.endswith("\n")] == []
    assert [path for path, text in files.items() if "\r" in text] == []
    assert [path for path, text in files.items() if re.search(r"[ \t]\n", text)] == []


def test_only_the_makefile_is_indented_with_tabs() -> None:
    assert [path for path, text in text_files().items() if re.search(r"^\t", text, re.MULTILINE)] == [
        "Makefile"
    ]


def test_the_line_length_of_editors_and_of_the_formatter_is_one() -> None:
    (line_length,) = re.findall(
        r"^line-length = (\d+)$", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )

    assert f"max_line_length = {line_length}" in (ROOT / ".editorconfig").read_text("utf-8")


@pytest.mark.parametrize("hook", [hook for repository in HOOKS for hook in repository["hooks"]], ids=str)
def test_a_hook_before_a_commit_uses_a_pinned_tool(hook: dict[str, str]) -> None:
    """A tool of its own repository would have its version in a second place."""
    program, argument, *_ = [*hook["entry"].split(), ""]

    assert [repository["repo"] for repository in HOOKS] == ["local"]
    assert hook["language"] == "system"
    if program == "make":
        assert re.search(rf"^{argument}:", MAKEFILE, re.MULTILINE)
    else:
        assert program.removeprefix(".venv/bin/") in pins("requirements-dev.txt")


def test_a_commit_is_formatted_linted_and_typed_as_in_ci() -> None:
    before_a_commit = {hook["entry"].split()[0].rpartition("/")[2] for hook in HOOKS[0]["hooks"]}

    assert {"ruff", "mypy", "make"} == before_a_commit
    for command in ("ruff format --check", "ruff check", "mypy"):
        assert f"$(BIN)/{command}" in MAKEFILE


def test_dependabot_covers_every_place_with_pinned_versions() -> None:
    files = tracked_files()
    watched = {(update["package-ecosystem"], update["directory"]) for update in DEPENDABOT["updates"]}

    assert watched == {
        *(("pip", "/") for path in files if re.fullmatch(r"requirements[^/]*\.txt", path)),
        *(("npm", f"/{path.rpartition('/')[0]}") for path in files if path.endswith("package-lock.json")),
        *(("devcontainers", "/") for path in files if path.startswith(".devcontainer/")),
        *(("github-actions", "/") for path in files if path.startswith(".github/workflows/")),
    }
    assert {update["schedule"]["interval"] for update in DEPENDABOT["updates"]} == {"weekly"}


def test_the_readme_has_at_most_80_lines() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 80


@pytest.mark.parametrize("launch", LAUNCHES, ids=lambda launch: launch["name"])
def test_f5_starts_a_command_of_the_local_stack_after_its_set_up(launch: dict[str, str]) -> None:
    assert launch["module"] == "tests.local_stack"
    assert _parser().parse_args(launch["args"]).run
    assert launch["preLaunchTask"] in {task["label"] for task in TASKS}
    # Killed, which is the debugger's default, the stack would leave Azurite and the host behind.
    assert launch["onTerminate"] == "KeyboardInterrupt"


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task["label"])
def test_a_task_of_the_editor_is_a_target_of_the_makefile(task: dict[str, str]) -> None:
    assert re.search(rf"^{task['command'].removeprefix('make ')}:", MAKEFILE, re.MULTILINE)


def test_the_editor_formats_and_checks_with_the_pinned_tools() -> None:
    settings = json.loads((ROOT / ".vscode/settings.json").read_text("utf-8"))
    tools = [path for name, paths in settings.items() if name.endswith(".path") for path in paths]

    assert [tool.removeprefix("${workspaceFolder}/.venv/bin/") for tool in tools] == ["ruff", "mypy"]
    assert settings["python.testing.pytestEnabled"]


def test_the_dev_container_has_the_versions_and_extensions_of_the_project() -> None:
    node = CONTAINER["features"]["ghcr.io/devcontainers/features/node:1"]["version"]
    recommended = json.loads((ROOT / ".vscode/extensions.json").read_text("utf-8"))["recommendations"]

    assert f"-{(ROOT / '.python-version').read_text('utf-8').strip()}-" in CONTAINER["image"]
    assert f'node-version: "{node}"' in CI
    assert CONTAINER["onCreateCommand"]["bicep"] in CI
    assert CONTAINER["customizations"]["vscode"]["extensions"] == recommended


def run_ci(folder: Path, *steps: str) -> tuple[int, list[str]]:
    """Run `.ci/run` with a fake make; return its exit code and the targets."""
    make = folder / "make"
    make.write_text(f'#!/bin/sh\necho "$1" >> {folder}/targets\n', "utf-8")
    make.chmod(0o755)
    command = ["bash", str(ROOT / ".ci/run"), *steps]
    done = subprocess.run(command, env={"PATH": f"{folder}:/usr/bin:/bin"}, check=False, capture_output=True)
    targets = folder / "targets"
    return done.returncode, targets.read_text("utf-8").split() if targets.exists() else []


def test_every_step_that_is_named_runs_and_no_other(tmp_path: Path) -> None:
    assert run_ci(tmp_path, "check", "test") == (0, ["check", "test"])


def test_nothing_runs_if_one_of_the_steps_is_unknown(tmp_path: Path) -> None:
    assert run_ci(tmp_path, "check", "tset") == (2, [])


def test_the_settings_of_a_users_pip_do_not_reach_the_environment() -> None:
    """A user's `PIP_USER=1` makes pip refuse to install into it."""
    command = ["make", "-s", "--eval", "show: ; @echo $$PIP_USER", "show"]
    done = subprocess.run(
        command, env={**os.environ, "PIP_USER": "1"}, cwd=ROOT, check=True, capture_output=True
    )

    assert done.stdout == b"0\n"


def test_the_package_is_built_whatever_a_users_pip_is_set_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    monkeypatch.setenv("PIP_USER", "1")
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$PIP_REQUIRE_VIRTUALENV $PIP_USER" = "0 0" ]\n', "utf-8")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))

    build(tmp_path / "package.zip", tmp_path)

    assert (tmp_path / "package.zip").exists()
