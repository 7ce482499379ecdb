"""docs/decisions/: records have date, alternatives, reason and index."""

import re
from pathlib import Path

import pytest

from tests.deployment.pins import ROOT

FOLDER = ROOT / "docs" / "decisions"
INDEX = FOLDER / "README.md"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path != INDEX)
RECORD = re.compile(r"\n(?:[^\n]+\n)*?(?:\n)?\d{4}-\d\d-\d\d\. Instead of: [^\n]+(?:\n[^\n]+)*\n\n\S")


def records(text: str) -> dict[str, str]:
    """Return the text below each heading."""
    titles_and_texts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(titles_and_texts[::2], titles_and_texts[1::2], strict=True))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_record_has_a_date_alternatives_and_a_reason(page: Path) -> None:
    found = records(page.read_text("utf-8"))

    assert [title for title, text in found.items() if not RECORD.match(text)] == []
    assert found


def test_every_page_is_in_the_index() -> None:
    listed = re.findall(r"\]\(([\w-]+\.md)\)", INDEX.read_text("utf-8"))

    assert sorted(listed) == [page.name for page in PAGES]


@pytest.mark.parametrize(
    "text", ["\nBecause.\n", "\n2026-11-30. Because.\n", "\n2026-11-30. Instead of: a.\n"]
)
def test_an_incomplete_record_is_found(text: str) -> None:
    assert not RECORD.match(text)
