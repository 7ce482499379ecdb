"""A code of a class is raised by this class only, or an `except` for the class would miss it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import TransientError
from shared.sending.errors import BY_CODE, SendingError

ROOT = Path(__file__).parent.parent.parent
SOURCES = [
    path
    for folder in ("shared", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if "node_modules" not in path.parts
]
#: The code of `shared.time_limit.AttemptTooLongError`, which fixes it too.
OWNED = {*BY_CODE, "attempt_too_long"}


def general_errors(text: str) -> Iterator[str]:
    """Yield the codes with which a module creates a general transient error."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in {"TransientError", "NothingSentError"}:
            yield str(node.args[0].value)


def test_a_code_that_has_a_class_is_never_raised_with_a_general_one() -> None:
    found = {str(path): OWNED & set(general_errors(path.read_text())) for path in SOURCES}

    assert {path: codes for path, codes in found.items() if codes} == {}


def test_a_general_error_is_found() -> None:
    assert list(general_errors('raise errors.TransientError("draft_lost", x=1)')) == ["draft_lost"]


def test_each_class_is_in_the_table_by_its_code() -> None:
    def below(kind: type[SendingError]) -> set[type[SendingError]]:
        return {kind, *(found for child in kind.__subclasses__() for found in below(child))}

    own = {kind for kind in below(SendingError) if "fixed_code" in vars(kind)}
    assert set(BY_CODE.values()) == own


@pytest.mark.parametrize("code", BY_CODE)
def test_each_class_fixes_its_code(code: str) -> None:
    error = BY_CODE[code](address="a", graph_code="HTTP 400")

    assert (error.code, isinstance(error, TransientError)) == (code, True)
