"""What is written in Markdown is what a reader sees."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from markdown_it import MarkdownIt

from tests.deployment.pins import ROOT, tracked_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

FILES = sorted(name for name in tracked_files() if name.endswith(".md"))
#: Tags that GitHub renders and that stand in our texts on purpose.
MEANT = re.compile(r"<img\s[^>]*>|<!--.*?-->|<br>", re.DOTALL)


def hidden(text: str) -> list[str]:
    """Return what a renderer takes for markup: a placeholder such as <name> outside code disappears."""
    return [
        token.content.strip()
        for token in every_token(MarkdownIt("commonmark").enable("table").parse(text))
        if token.type in {"html_inline", "html_block"} and MEANT.sub("", token.content).strip()
    ]


def every_token(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from every_token(token.children or [])


def test_every_markdown_file_is_looked_at() -> None:
    assert {"README.md", "CHANGELOG.md", "docs/operations.md", "docs/scheduler.md"} <= set(FILES)


@pytest.mark.parametrize("file", FILES)
def test_no_placeholder_disappears(file: str) -> None:
    assert hidden((ROOT / file).read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the resource group rg-<environment>", ["<environment>"]),
        ("| a |\n|---|\n| <name> |", ["<name>"]),
        ("<account>\n", ["<account>"]),
        ("`rg-<environment>`", []),
        ("```sh\naz group delete <name>\n```", []),
        ('<img src="a.png" alt="A">', []),
    ],
)
def test_a_placeholder_outside_code_is_found(text: str, found: list[str]) -> None:
    assert hidden(text) == found
