"""The parser of the Azure CLI applied to commands, none of which runs.

It needs the Python of .venv-azure-cli. It reads a list of [words, complete] from standard input and writes a
list: the error of the CLI for each, or null. Of a command that is not complete only name and options are
checked: a sentence may omit the rest.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

from azure.cli.core import get_default_cli
from azure.cli.core.commands.arm import register_global_subscription_argument, register_ids_argument
from azure.cli.core.commands.events import EVENT_INVOKER_POST_LOAD_ARGUMENTS

#: Options that every command has.
_EVERY = {"--help", "-h", "--output", "-o", "--query", "--debug", "--verbose", "--only-show-errors"}


def main() -> None:
    """Check the commands in standard input."""
    wanted: list[tuple[list[str], bool]] = json.load(sys.stdin)
    cli = get_default_cli()
    register_global_subscription_argument(cli)
    register_ids_argument(cli)
    cli.invocation = invocation = cli.invocation_cls(
        cli_ctx=cli,
        parser_cls=cli.parser_cls,
        commands_loader_cls=cli.commands_loader_cls,
        help_cls=cli.help_cls,
    )
    loader, parser = invocation.commands_loader, invocation.parser
    loader.load_command_table(None)
    names = frozenset(loader.command_table)
    used = {name for words, _ in wanted if (name := _name_in(words, names))}
    for name in used:
        # A module declares the options of a command only while that command is loaded.
        invocation.data["command_string"] = name
        loader.load_arguments(name)
    loader.command_table = {name: command for name, command in loader.command_table.items() if name in used}
    cli.raise_event(EVENT_INVOKER_POST_LOAD_ARGUMENTS, commands_loader=loader)
    parser.load_command_table(loader)
    said = [
        _parse(parser, words) if complete else _look_up(loader.command_table, words, names)
        for words, complete in wanted
    ]
    json.dump(said, sys.stdout)


def _name_in(words: list[str], names: frozenset[str]) -> str | None:
    """Return the longest beginning of the words that is a command."""
    beginnings = (" ".join(words[:count]) for count in range(len(words), 0, -1))
    return next((name for name in beginnings if name in names), None)


def _parse(parser: Any, words: list[str]) -> str | None:
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            parser.parse_args(words)
        except SystemExit:
            return said.getvalue().strip().partition("\n")[0] or "refused"
    return None


def _look_up(table: Any, words: list[str], names: frozenset[str]) -> str | None:
    name = _name_in(words, names)
    if name is None:
        is_group = any(each.startswith(f"{' '.join(words)} ") for each in names)
        return None if is_group or not words else f"az has no command {' '.join(words)}"
    arguments = table[name].arguments.values()
    known = _EVERY | {_written(option) for each in arguments for option in each.options_list or ()}
    options = [word.partition("=")[0] for word in words if word.startswith("-") and not word[1:].isdigit()]
    unknown = [option for option in options if option not in known]
    return f"az {name} has no option {unknown[0]}" if unknown else None


def _written(option: Any) -> str:
    """Return an option as it is typed; a deprecated one is an object."""
    return str(getattr(option, "target", option))


if __name__ == "__main__":
    main()
