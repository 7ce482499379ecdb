"""Each script in documents and workflows passes bash and ShellCheck."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.shell import PLACEHOLDER
from tests.commands.sources import SHELL, Script, scripts, scripts_in

BASH = shutil.which("bash") or "bash"
#: Why a rule does not hold for lines that a person copies into a shell of their own.
NOT_FOR_COPIED_LINES = {
    "SC1090": "what is sourced is what azd prints",
    "SC2015": "what follows && is an echo, or ends as the whole line is to end",
    "SC2034": "a variable is for a later block",
    "SC2086": "names of Azure have no blanks",
    "SC2046": "nor have their ids",
    "SC2154": "a variable is from an earlier block",
    "SC2164": "whoever types cd sees that it failed",
}
COMPLETE = [script for script in scripts() if script.complete and script.language in SHELL]


def shellcheck() -> str:
    beside_python = Path(sys.executable).with_name("shellcheck")
    found = str(beside_python) if beside_python.exists() else shutil.which("shellcheck")
    if found is None and os.environ.get("CI"):
        pytest.fail("ShellCheck is missing. In CI this test has to run.")
    if found is None:
        pytest.skip("ShellCheck is missing; requirements-dev.txt names its package.")
    return found


def problems(script: Script) -> list[str]:
    """Return the errors of bash, or else those of ShellCheck."""
    text = PLACEHOLDER.sub("placeholder", script.text)
    taken = subprocess.run([BASH, "-n"], input=text, capture_output=True, text=True, check=False)
    if taken.returncode:
        return taken.stderr.splitlines()
    is_file = text.startswith("#!")
    ignored = [] if is_file else [f"--exclude={','.join(NOT_FOR_COPIED_LINES)}"]
    checked = subprocess.run(
        [shellcheck(), "--shell=bash", "--format=json", *ignored, "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    return [
        f"line {script.line + found['line'] - 1}: SC{found['code']}: {found['message']}"
        for found in json.loads(checked.stdout)
    ]


@pytest.mark.parametrize("script", COMPLETE, ids=lambda script: f"{script.file}:{script.line}")
def test_a_script_has_no_fault(script: Script) -> None:
    assert problems(script) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("if true; then\n  az login\n", "unexpected end of file"),
        ("az ad app delete --id <client id>>\n", "syntax error"),
        ("for id in $(az group list); do echo '$id'; done\n", "SC2016"),
        ("[ $a == b ] && rm -rf $folder/*\n", "SC2115"),
    ],
)
def test_a_planted_fault_is_found(text: str, said: str) -> None:
    (script,) = scripts_in("x.md", f"```sh\n{text}```\n")

    assert said in "\n".join(problems(script))


def test_the_scripts_of_every_kind_of_file_are_checked() -> None:
    files = {script.file.partition(" ")[0] for script in COMPLETE}

    assert {".ci/run", ".github/workflows/deploy.yml", "azure.yaml", "README.md"} <= files
    assert {"docs/samples/queue-mail-az.sh", "docs/scheduler.md"} <= files
    assert len(COMPLETE) > 40
