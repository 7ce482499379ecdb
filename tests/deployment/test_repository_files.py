"""What editors, pre-commit and Dependabot read, compared with the tree that they work on."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.deployment.pins import ROOT, pins, tracked_files

HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
DEPENDABOT = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text("utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
BINARY = re.compile(r"\.(png|ico|pfx|zip)$")


def text_files() -> dict[str, str]:
    return {path: (ROOT / path).read_bytes().decode() for path in tracked_files() if not BINARY.search(path)}


def test_every_file_ends_and_breaks_lines_as_the_editorconfig_says() -> None:
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


def test_dependabot_looks_at_every_place_that_pins_something() -> None:
    files = tracked_files()
    watched = {(update["package-ecosystem"], update["directory"]) for update in DEPENDABOT["updates"]}

    assert watched == {
        *(("pip", "/") for path in files if re.fullmatch(r"requirements[^/]*\.txt", path)),
        *(("npm", f"/{path.rpartition('/')[0]}") for path in files if path.endswith("package-lock.json")),
        *(("github-actions", "/") for path in files if path.startswith(".github/workflows/")),
    }
    assert {update["schedule"]["interval"] for update in DEPENDABOT["updates"]} == {"weekly"}
