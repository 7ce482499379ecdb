"""A reader sees all that is written in Markdown."""

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
#: Tags that GitHub renders and that are in our texts on purpose.
MEANT = re.compile(r"<img\s[^>]*>|<!--.*?-->|<br>", re.DOTALL)


def hidden(text: str) -> list[str]:
    """Return text that renders as markup: <name> outside code disappears."""
    return [
        token.content.strip()
        for token in every_token(MarkdownIt("commonmark").enable("table").parse(text))
        if token.type in {"html_inline", "html_block"} and MEANT.sub("", token.content).strip()
    ]


def every_token(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from every_token(token.children or [])


def test_every_markdown_file_is_checked() -> None:
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


#: A link of a document to a file of this repository, to a heading, or to both.
LINK = re.compile(r"^(?!\w+:)([^#]*)#?(.*)$")
#: How other files name a document.
NAMED = re.compile(r"\bdocs/[\w/-]+\.md(?:#[\w-]+)?")


def anchors(text: str) -> set[str]:
    """Return GitHub's anchors of the headings; repeated names are numbered."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    headings = [
        tokens[index + 1].children or [] for index, token in enumerate(tokens) if token.type == "heading_open"
    ]
    found: dict[str, int] = {}
    for heading in headings:
        shown = "".join(child.content for child in heading if child.type in {"text", "code_inline"})
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {
        f"{slug}-{number}" if number else slug for slug, count in found.items() for number in range(count + 1)
    }


def broken_links(file: str, text: str) -> list[str]:
    """Return the links to a file or heading that is not there."""
    tokens = every_token(MarkdownIt("commonmark").enable("table").parse(text))
    targets = [str(token.attrs.get("href") or token.attrs.get("src") or "") for token in tokens]
    targets += re.findall(r'<img src="([^"]+)"', text)
    return [
        target
        for target in targets
        if target and (found := LINK.match(target)) and not resolves(file, text, found)
    ]


def resolves(file: str, text: str, link: re.Match[str]) -> bool:
    path, anchor = link.groups()
    target = (ROOT / file).parent / path
    if path and not target.exists():
        return False
    return not anchor or anchor in anchors(target.read_text("utf-8") if path else text)


@pytest.mark.parametrize("file", FILES)
def test_every_link_leads_to_a_file_and_a_heading(file: str) -> None:
    assert broken_links(file, (ROOT / file).read_text("utf-8")) == []


@pytest.mark.parametrize(
    "link",
    ["[a](no.md)", "[a](errors.md#no)", "[a](#no)", "![a](images/no.png)", '<img src="images/no.png">'],
)
def test_a_broken_link_is_found(link: str) -> None:
    text = f"# Yes\n\n{link} [b](errors.md) [c](errors.md#microsoft-entra) [d](#yes) [e](https://example.com/no)\n"

    assert broken_links("docs/x.md", text) == [re.sub(r'.*[("](.+)[)"].*', r"\1", link)]


def test_headings_have_the_anchors_of_github() -> None:
    text = "# A `b_c` — D's [e](x)!\n\n## Again\n\n## Again\n"

    assert anchors(text) == {"a-b_c--ds-e", "again", "again-1"}


def test_every_document_and_heading_that_another_file_names_is_there() -> None:
    texts = [
        name for name in tracked_files() if name.endswith((".py", ".bicep", ".yml", ".yaml", ".toml", ".kql"))
    ]
    named = {
        found
        for name in texts
        if name != "tests/test_markdown.py"
        for found in NAMED.findall((ROOT / name).read_text("utf-8"))
    }

    assert broken_links("x.md", "\n".join(f"[a]({name})" for name in named)) == []
    assert len(named) > 8
