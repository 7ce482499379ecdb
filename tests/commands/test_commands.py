"""Every azd, make and Python command that a document names exists."""

from __future__ import annotations

import re

import pytest

from tests.commands.checks import problem_of
from tests.commands.sources import POWERSHELL, SHELL, TOOLS, Script, commands, scripts, scripts_in

#: How a line looks that runs a tool, whatever stands before it.
RUNS = re.compile(rf"(?:^|[\s;&|(`])({'|'.join(sorted(TOOLS))})(?=3? [a-z-])", re.MULTILINE)


def problems(found: list[Script]) -> list[str]:
    return [f"{command} -- {said}" for command in commands(found) if (said := problem_of(command))]


def test_every_command_exists() -> None:
    assert problems(list(scripts())) == []


def test_commands_are_found_in_every_place() -> None:
    found = list(commands(scripts()))
    files = {command.file.partition(" ")[0] for command in found}

    assert {
        "README.md",
        "docs/scheduler.md",
        ".ci/run",
        "azure.yaml",
        ".github/workflows/deploy.yml",
    } <= files
    assert {"infra/hooks/next_steps.py", "infra/main.bicep", "shared/operate/__main__.py"} <= files
    assert {command.words[0] for command in found} == TOOLS


def test_no_command_of_a_script_is_overlooked() -> None:
    for script in scripts():
        if script.complete:
            text = re.sub(r"#.*|<<'PYTHON'.*?^PYTHON", "", script.text, flags=re.DOTALL | re.MULTILINE)
            assert len(list(commands([script]))) >= len(RUNS.findall(text)), f"{script.file}:{script.line}"


@pytest.mark.parametrize("language", sorted(SHELL | POWERSHELL))
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("azd provison", "azd.toml knows no command provison"),
        ("azd env get-valuse", "azd.toml knows no command env get-valuse"),
        ("azd provision --nostate", "azd provision has no flag --nostate"),
        ("azd env select", "azd env select takes 1 to 1 arguments, not 0"),
        ("azd up now", "azd up takes 0 to 0 arguments, not 1"),
        ("azd", "a script runs azd without a command"),
        ("make demos", "the Makefile has no target demos"),
        ("python -m shared.operation status", "there is no module shared.operation"),
        ("python -m shared.operate pauze", "invalid choice: 'pauze'"),
        ("python -m shared.operate wait --hours 1", "unrecognized arguments: --hours 1"),
        ("python -m infra.deploy_code --from-pakage x", "azd deploy has no flag --from-pakage"),
        ("python docs/samples/queue.py", "there is no file docs/samples/queue.py"),
    ],
)
def test_a_planted_fault_in_a_script_is_found(language: str, line: str, said: str) -> None:
    (problem,) = problems(list(scripts_in("x.md", f"Text.\n\n```{language}\n{line}\n```\n")))

    assert problem.startswith("x.md:4: ")
    assert said in problem


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("x.md", "Run `azd provison` again."),
        ("x.md", "| a |\n|---|\n| `azd provison` |\n"),
        (".github/workflows/x.yml", "jobs:\n  a:\n    steps:\n      - run: azd provison\n"),
        (".github/workflows/x.yml", "# First `azd provison`.\non: push\n"),
        ("azure.yaml", "hooks:\n  a:\n    windows:\n      shell: pwsh\n      run: |\n        azd provison\n"),
        (".ci/run", "#!/usr/bin/env bash\nazd provison\n"),
        ("infra/hooks/x.py", 'STEPS = """\n1. Then\n     azd provison\n"""\n'),
        ("shared/problems.toml", 'sentence = "Run `azd provison`."\n'),
        ("infra/x.bicep", "// `azd provison` shows it\n"),
    ],
)
def test_a_planted_fault_is_found_at_every_place_of_a_command(file: str, text: str) -> None:
    (problem,) = problems(list(scripts_in(file, text)))

    assert "azd.toml knows no command provison" in problem


def test_a_sentence_may_leave_arguments_out() -> None:
    text = "`azd env set`, `azd env select`, `python -m shared.operate`, `azd env set … x`, `make`"

    assert problems(list(scripts_in("x.md", text))) == []


def test_a_script_in_powershell_is_read_as_powershell() -> None:
    text = "```powershell\n$id = azd env get-value `\n  API_SCOPE --cwd $env:HOME\n```\n"

    (command,) = commands(scripts_in("x.md", text))

    assert command.words == ("azd", "env", "get-value", "API_SCOPE", "--cwd", "1")
