"""Where to find the commands that people copy and machines run.

Scripts are complete: code blocks of the documents, samples, workflows, `.ci/run` and the hooks of azd.
Mentions name a command in a sentence and may leave arguments out: code within a paragraph, and the texts of
the app, of its scripts and of the infrastructure.
"""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from markdown_it import MarkdownIt

from tests.commands.shell import split
from tests.deployment.pins import ROOT, tracked_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHELL = frozenset({"sh", "bash"})
POWERSHELL = frozenset({"powershell", "pwsh"})
#: A text's own lines that are commands are indented; its sentences are not.
_COMMAND_LINE = re.compile(r"^ {2,}((?:az|azd|make|python3?) .+)$", re.MULTILINE)
_IN_BACKTICKS = re.compile(r"`([^`\n]+)`")
#: These run a command that is given to them.
_WRAPPERS = frozenset({"try", "with_settings", "sudo", "nice", "command", "exec", "env"})
TOOLS = frozenset({"az", "azd", "make", "python"})


@dataclass(frozen=True)
class Script:
    """Shell text with its position; `complete` if it is run as it is."""

    file: str
    line: int
    text: str
    language: str = "sh"
    complete: bool = True


@dataclass(frozen=True)
class Found:
    """A command of one of `TOOLS`, and its location."""

    file: str
    line: int
    words: tuple[str, ...]
    complete: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {' '.join(self.words)}"


def scripts(files: Iterable[str] | None = None) -> Iterator[Script]:
    """Yield every script of the tracked files, or of those named."""
    for file in files or tracked_files():
        yield from scripts_in(file, (ROOT / file).read_text("utf-8")) if _is_read(file) else ()


def scripts_in(file: str, text: str) -> Iterator[Script]:
    """Yield the scripts and the mentions of one file."""
    if file.endswith(".md"):
        yield from _of_markdown(file, text)
    elif file.startswith(".github/workflows/") or file == "azure.yaml":
        yield from _of_yaml(file, text)
    elif file.endswith(".sh") or file == ".ci/run":
        yield Script(file, 1, text)
    elif file.endswith(".py"):
        yield from _of_python(file, text)
    else:
        yield from _mentions(file, text)


def commands(found: Iterable[Script]) -> Iterator[Found]:
    """Yield the commands of scripts that a check of this package knows."""
    for script in found:
        text = _from_powershell(script.text) if script.language in POWERSHELL else script.text
        for command in split(text):
            words = _command(command.words)
            if words and words[0] in TOOLS:
                whole = script.complete and "…" not in words
                shown = tuple(word for word in words if word != "…")
                yield Found(script.file, script.line + command.line, shown, whole)


def _is_read(file: str) -> bool:
    return (
        file in {"azure.yaml", ".ci/run", "shared/problems.toml", "infra/workbook.json"}
        or file.endswith((".md", ".sh"))
        or (file.startswith(".github/workflows/") and file.endswith(".yml"))
        or (file.startswith(("shared/", "infra/")) and file.endswith((".py", ".bicep", ".kql")))
    ) and file != "CHANGELOG.md"


def _command(words: tuple[str, ...]) -> tuple[str, ...]:
    while words and (words[0] in _WRAPPERS or "=" in words[0]):
        words = words[1:]
    if words and re.fullmatch(r"(\S*/)?python3?", words[0]):
        return ("python", *words[1:])
    return words


def _of_markdown(file: str, text: str) -> Iterator[Script]:
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        line = token.map[0] + 1 if token.map else 1
        if token.type == "fence" and token.info in SHELL | POWERSHELL:
            yield Script(file, line + 1, token.content, token.info)
        for child in token.children or []:
            if child.type == "code_inline":
                yield Script(file, line, child.content, complete=False)


def _of_yaml(file: str, text: str) -> Iterator[Script]:
    for number, shell in enumerate(_runs(yaml.safe_load(text)), start=1):
        language, script = shell
        # The YAML parser gives no lines, so the number of the step is used.
        yield Script(f"{file} (command {number})", 1, script, language)
    comments = "\n".join(line.partition("#")[2] for line in text.splitlines())
    yield from _mentions(file, comments)


def _runs(node: object) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        if isinstance(node.get("run"), str):
            yield str(node.get("shell", "sh")), str(node["run"])
        for value in node.values():
            yield from _runs(value)
    elif isinstance(node, list):
        for value in node:
            yield from _runs(value)


def _of_python(file: str, text: str) -> Iterator[Script]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _mentions(file, inspect.cleandoc(node.value), node.lineno)


def _mentions(file: str, text: str, first: int = 1) -> Iterator[Script]:
    for pattern in (_IN_BACKTICKS, _COMMAND_LINE):
        for match in pattern.finditer(text):
            line = first + text.count("\n", 0, match.start())
            yield Script(file, line, match[1], complete=False)


def _from_powershell(text: str) -> str:
    """Convert PowerShell continuations, variables and assignments to shell."""
    joined = text.replace("`\n", "\\\n").replace("$env:", "$")
    joined = re.sub(r"(?<!\S)[{}](?!\S)", ";", joined)
    return re.sub(r"^(\s*)\$\w+\s*=\s*", r"\1", joined, flags=re.MULTILINE)
