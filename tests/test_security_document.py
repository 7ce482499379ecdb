"""docs/security.md: each requirement once, only existing tests."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "security.md").read_text("utf-8")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
ROW = re.compile(r"^\| (\d+(?:\.\d+)+) \| (.+?) \| \*\*([\w/]+)\*\* ?(.*?) \| (.*?) ?\|$", re.MULTILINE)
STATES = {"met", "partly", "Entra", "Azure", "n/a"}
PROVED = {"met", "partly"}


def numbered(*sections: tuple[str, int]) -> list[str]:
    """Number the requirements of each section from 1."""
    return [f"{section}.{number}" for section, count in sections for number in range(1, count + 1)]


#: Levels 1 and 2 of ASVS 5.0; in each section the requirements of level 3 come last.
REQUIREMENTS = {
    "### V4 API and web service": numbered(("4.1", 3), ("4.2", 1), ("4.3", 2), ("4.4", 4)),
    "### V7 Session management": numbered(
        ("7.1", 3), ("7.2", 4), ("7.3", 2), ("7.4", 5), ("7.5", 2), ("7.6", 2)
    ),
    "### V10 OAuth and OIDC": numbered(
        ("10.1", 2), ("10.2", 2), ("10.3", 4), ("10.4", 11), ("10.5", 5), ("10.6", 2), ("10.7", 3)
    ),
    "### V13 Configuration": numbered(("13.1", 1), ("13.2", 5), ("13.3", 2), ("13.4", 5)),
    "### V16 Security logging and error handling": numbered(
        ("16.1", 1), ("16.2", 5), ("16.3", 4), ("16.4", 3), ("16.5", 3)
    ),
    "## RFC 9700": [
        *("2.1", "2.1.1", "2.1.2", "2.2.1", "2.2.2", "2.3", "2.4", "2.5", "2.6"),
        *numbered(("4", 17)),
    ],
}


def section(heading: str) -> str:
    """Return the text below a heading, up to the next one of any level."""
    _, _, rest = TEXT.partition(f"\n{heading}\n")
    return re.split(r"^#", rest, maxsplit=1, flags=re.MULTILINE)[0]


@functools.cache
def functions_of(path: str) -> frozenset[str]:
    """Return the names of the test functions of a file."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("heading", REQUIREMENTS)
def test_every_requirement_of_a_chapter_is_listed_once(heading: str) -> None:
    assert [number for number, *_ in ROW.findall(section(heading))] == REQUIREMENTS[heading]


@pytest.mark.parametrize("heading", REQUIREMENTS)
def test_what_is_met_names_a_test_and_what_is_not_gives_a_reason(heading: str) -> None:
    text = section(heading)
    rows = ROW.findall(text)

    assert len(rows) == len(re.findall(r"^\| \d", text, re.MULTILINE))
    for number, _, state, reason, tests in rows:
        assert state in STATES, number
        assert bool(TEST.search(tests)) or state not in PROVED, number
        assert reason or state not in {"partly", "n/a"}, number


def test_no_chapter_is_left_out() -> None:
    assert re.findall(r"^### V\d+ .*|^## RFC .*", TEXT, re.MULTILINE) == list(REQUIREMENTS)


@pytest.mark.parametrize(("path", "name"), sorted(set(TEST.findall(TEXT))))
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    assert name in functions_of(path)


def test_every_name_of_a_test_is_read() -> None:
    assert len(TEST.findall(TEXT)) == TEXT.count("::test_")
