"""Checks of commands that need no Azure CLI.

tests/interop/test_azure_cli.py checks the commands of the CLI.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from shared.operate.__main__ import _parser as operate_parser
from tests.deployment.pins import ROOT
from tests.local_stack.__main__ import _parser as local_stack_parser

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable, Sequence

    from tests.commands.sources import Found

_AZD = Path(__file__).with_name("azd.toml")
_PARSERS: dict[str, Callable[[], ArgumentParser]] = {
    "shared.operate": operate_parser,
    "tests.local_stack": local_stack_parser,
}


def problem_of(command: Found) -> str | None:
    """Return the error of a command or None; `az` is not checked here."""
    tool, *words = command.words
    match tool:
        case "azd":
            return _azd_problem(words, complete=command.complete)
        case "make":
            return _make_problem(words)
        case "python":
            return _python_problem(words, complete=command.complete)
        case _:
            return None


@cache
def _azd_commands() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = tomllib.loads(_AZD.read_text("utf-8"))
    return found


def _azd_problem(words: Sequence[str], *, complete: bool) -> str | None:
    if not words:
        return "a script runs azd without a command" if complete else None
    known = _azd_commands()
    name = next((name for name in (" ".join(words[:2]), words[0]) if name in known), None)
    if name is None:
        return f"azd.toml knows no command {' '.join(words[:2])}"
    rest, unknown = _arguments(
        words[len(name.split()) :], known[name].get("flags", []) + known["every"]["flags"]
    )
    if unknown:
        return f"azd {name} has no flag {unknown[0]}"
    least, most = map(int, known[name]["arguments"])
    if len(rest) > most or (complete and len(rest) < least):
        return f"azd {name} takes {least} to {most} arguments, not {len(rest)}"
    return None


def _arguments(words: Sequence[str], flags: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide words into arguments and flags that are not known."""
    rest, unknown = list[str](), list[str]()
    left = iter(words)
    for word in left:
        flag, has_value, _ = word.partition("=")
        if not word.startswith("-"):
            rest.append(word)
        elif f"{flag}=" in flags:
            # Its value is the next word, unless it is part of this one.
            _ = has_value or next(left, None)
        elif word not in flags:
            unknown.append(word)
    return rest, unknown


@cache
def make_targets() -> frozenset[str]:
    """Return the targets of the Makefile."""
    return frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def _make_problem(words: Sequence[str]) -> str | None:
    wanted = [word for word in words if "=" not in word]
    missing = [word for word in wanted if word not in make_targets()]
    return f"the Makefile has no target {missing[0]}" if missing else None


def _python_problem(words: Sequence[str], *, complete: bool) -> str | None:
    match words:
        case ["-m", module, *rest]:
            return _module_problem(module, rest, complete=complete)
        case [file, *_] if file.endswith(".py") and not (ROOT / file).is_file():
            return f"there is no file {file}"
        case _:
            return None


def _module_problem(module: str, arguments: Sequence[str], *, complete: bool) -> str | None:
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        return f"there is no module {module}"
    if module in _PARSERS and (complete or arguments):
        return _parser_problem(_PARSERS[module](), arguments, complete=complete)
    if module == "infra.deploy_code" and complete:
        return _azd_problem(["deploy", "api", *arguments], complete=True)
    return None


def _parser_problem(parser: ArgumentParser, arguments: Sequence[str], *, complete: bool) -> str | None:
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            parser.parse_args(arguments)
        except SystemExit:
            problem = said.getvalue().strip().splitlines()[-1]
            return None if "arguments are required" in problem and not complete else problem
    return None
