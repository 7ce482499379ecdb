"""`azd up` from a clone: hooks cannot fail it; the package is complete."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from infra.build_package import app_files
from tests.deployment.azd import environment_folder, packages_file, packed, read_hook
from tests.deployment.pins import ROOT, tracked_files

if TYPE_CHECKING:
    from pathlib import Path

AZURE_YAML = yaml.safe_load((ROOT / "azure.yaml").read_text("utf-8"))
HOOKS = AZURE_YAML["hooks"]
FUNCIGNORE = (ROOT / ".funcignore").read_text("utf-8")

#: The hook of version 0.1.0, with which no deployment got beyond provisioning.
OLD_HOOK = {"run": "infra/hooks/next_steps.py", "dir": "infra/hooks", "interactive": True}

#: What tools and azd leave in a clone.
LEFT_BEHIND = [
    f"{environment_folder(ROOT)}/bin/python",
    f"infra/hooks/{environment_folder(ROOT / 'infra/hooks')}/pyvenv.cfg",
    "build/lib/function_app.py",
    "dist/inforiver-mailer.zip",
    "inforiver_mailer.egg-info/PKG-INFO",
    ".azure/mailer/.env",
    ".venv/bin/python",
    "local.settings.json",
]


def test_there_are_a_hook_after_provisioning_and_one_after_deploying() -> None:
    assert HOOKS.keys() == {"postprovision", "postdeploy"}


@pytest.mark.parametrize("windows", [False, True], ids=["posix", "windows"])
@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_that_only_prints_cannot_end_a_deployment(name: str, windows: bool) -> None:  # noqa: FBT001
    hook = read_hook(HOOKS[name], ROOT, windows=windows)

    assert not hook.can_end_the_command_before_it_runs
    assert hook.continues_on_error
    assert hook.kind == ("pwsh" if windows else "sh")
    assert hook.script is None
    assert "dir" not in HOOKS[name]


def test_the_first_hook_path_was_missing_and_installed_the_whole_project() -> None:
    old = read_hook(OLD_HOOK, ROOT)

    assert old.kind == "python"
    assert old.script == ROOT / "infra/hooks/infra/hooks/next_steps.py"
    assert not old.script.exists()
    assert packages_file(old.script, ROOT) == ROOT / "pyproject.toml"
    assert old.can_end_the_command_before_it_runs


def test_a_requirements_file_beside_a_script_ends_the_search_for_packages(tmp_path: Path) -> None:
    (tmp_path / "hooks").mkdir()
    (tmp_path / "pyproject.toml").touch()

    before = packages_file(tmp_path / "hooks/step.py", tmp_path)
    (tmp_path / "hooks/requirements.txt").touch()

    assert before == tmp_path / "pyproject.toml"
    assert packages_file(tmp_path / "hooks/step.py", tmp_path) == tmp_path / "hooks/requirements.txt"


@pytest.mark.parametrize(
    ("name", "says"),
    [("postprovision", "1. Assign the role"), ("postdeploy", "PUBLIC_BASE_URL is missing")],
)
def test_a_hook_runs_as_azd_runs_it(name: str, says: str) -> None:
    """A hook runs in a POSIX shell in the project's root.

    Here it runs without any output of azd.
    """
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", HOOKS[name]["run"]],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert says in done.stdout


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_without_python_prints_the_next_step_and_ends_with_0(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", HOOKS[name]["run"]],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0
    assert ("docs/operations" in done.stdout) or ("/api/health" in done.stdout)


@pytest.mark.parametrize("name", HOOKS)
def test_the_windows_form_runs_the_same_module_in_any_powershell(name: str) -> None:
    command = HOOKS[name]["windows"]["run"]
    (module,) = [word for word in HOOKS[name]["run"].split() if word.startswith("infra.hooks.")]

    assert f"python -m {module} " in command
    # Windows PowerShell 5.1, which azd falls back to, has neither.
    assert "||" not in command
    assert "&&" not in command
    assert command.splitlines()[-1] == "exit 0"


def test_the_package_is_the_app_and_what_the_remote_build_installs() -> None:
    files = packed(tracked_files(), FUNCIGNORE)

    assert {path.split("/")[0] for path in files} == {
        "function_app.py",
        "host.json",
        "requirements.txt",
        "shared",
    }
    assert "shared/problems.toml" in files


@pytest.mark.parametrize("path", LEFT_BEHIND)
def test_what_tools_leave_in_a_clone_is_neither_committed_nor_packed(path: str) -> None:
    ignored = subprocess.run(["/usr/bin/env", "git", "check-ignore", "-q", path], cwd=ROOT, check=False)

    assert ignored.returncode == 0
    assert packed([path], FUNCIGNORE) == []


@pytest.mark.parametrize(
    "path",
    [
        "pyproject.toml",
        "uv.lock",
        "poetry.lock",
        "pylock.toml",
        "Pipfile",
        "Pipfile.lock",
        "setup.py",
        "setup.cfg",
    ],
)
def test_the_remote_build_never_gets_another_list_of_packages(path: str) -> None:
    """Untracked files would be packaged too, such as a list from a tool."""
    assert packed([path], FUNCIGNORE) == []


def test_both_ways_of_deploying_have_the_same_app() -> None:
    assert app_files(ROOT) == packed(tracked_files(), FUNCIGNORE)
