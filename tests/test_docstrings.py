"""Docstrings name raised errors; first lines and test names are short.

The errors of adapters are not checked here: the ports name them once.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared import errors
from tests.deployment.pins import tracked_files

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for path in (ROOT / "shared").rglob("*.py") if path.parent.name != "adapters")
SOURCES = [ROOT / path for path in tracked_files() if path.endswith(".py")]
#: A first line fits below the signature in an editor's tooltip, a test name into one line of pytest's output.
MAX_FIRST_LINE = 72
MAX_TEST_NAME = 70
KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.MailerError)
}

type Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """The functions of one file by name, without names that occur twice."""

    functions: dict[str, Function]

    @classmethod
    def read(cls, tree: ast.Module) -> Module:
        found: dict[str, list[Function]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.setdefault(node.name, []).append(node)
        return cls({name: nodes[0] for name, nodes in found.items() if len(nodes) == 1})

    def raised(self, function: Function, seen: frozenset[str] = frozenset()) -> set[str]:
        """Return the app's errors that leave a function by `raise`.

        Only `raise` statements of this module count.
        """
        return set(self._of_all(function.body, seen | {function.name}))

    def _of_all(self, nodes: list[ast.stmt] | list[ast.expr], seen: frozenset[str]) -> Iterator[str]:
        for node in nodes:
            yield from self._of(node, seen)

    def _of(self, node: ast.AST, seen: frozenset[str]) -> Iterator[str]:
        if isinstance(node, ast.Try):
            caught = {name for handler in node.handlers for name in _caught(handler)}
            inner = set(self._of_all(node.body, seen))
            yield from (name for name in inner if not _is_caught(name, caught))
            for handler in node.handlers:
                yield from self._of_all(handler.body, seen)
            yield from self._of_all([*node.orelse, *node.finalbody], seen)
            return
        if (
            isinstance(node, ast.Raise)
            and isinstance(node.exc, ast.Call)
            and isinstance(node.exc.func, ast.Name)
        ):
            yield from {node.exc.func.id} & KINDS.keys()
        if isinstance(node, ast.Call) and (name := _called(node)) in self.functions and name not in seen:
            yield from self.raised(self.functions[name], seen)
        for child in ast.iter_child_nodes(node):
            yield from self._of(child, seen)


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _caught(handler: ast.ExceptHandler) -> set[str]:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {kind.id for kind in kinds if isinstance(kind, ast.Name)}


def _is_caught(name: str, caught: set[str]) -> bool:
    bases = {kind.__name__ for kind in KINDS[name].__mro__}
    return bool(bases & caught)


def unnamed(source: str) -> list[str]:
    """Return `function: Error` for each error missing in a docstring."""
    tree = ast.parse(source)
    module = Module.read(tree)
    return sorted(
        f"{function.name}: {name}"
        for function in _public(tree.body)
        for name in module.raised(function)
        if not re.search(rf"Raises?\b.*\b{name}\b", ast.get_docstring(function) or "", re.DOTALL)
    )


def _public(body: list[ast.stmt]) -> Iterator[Function]:
    """Yield functions and methods of a module, but no nested functions."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _public(node.body)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_public_function_names_the_errors_that_it_raises(path: Path) -> None:
    assert unnamed(path.read_text("utf-8")) == []


SOURCE = """
def get(name):
    '''Return it.

    Raises:
        NotFoundError: there is none.
    '''
    return _read(name)

def _read(name):
    if not name:
        raise NotFoundError("x")
    try:
        raise TransientError("x")
    except {caught}:
        return None
"""


def test_an_error_of_a_helper_counts_unless_it_is_caught() -> None:
    assert unnamed(SOURCE.format(caught="ProblemError")) == []
    assert unnamed(SOURCE.format(caught="ConflictError")) == ["get: TransientError"]


def long_first_lines(source: str) -> list[str]:
    """Return the first lines of docstrings that are too long."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    docstrings = [
        ast.get_docstring(node) or "" for node in ast.walk(ast.parse(source)) if isinstance(node, documented)
    ]
    return [
        first for first, *_ in map(str.splitlines, filter(None, docstrings)) if len(first) > MAX_FIRST_LINE
    ]


def long_test_names(source: str) -> list[str]:
    """Return the names of test functions that are too long."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    names = [node.name for node in ast.walk(ast.parse(source)) if isinstance(node, functions)]
    return [name for name in names if name.startswith("test_") and len(name) > MAX_TEST_NAME]


def test_the_first_line_of_a_docstring_is_short() -> None:
    found = [(str(path.relative_to(ROOT)), long_first_lines(path.read_text("utf-8"))) for path in SOURCES]

    assert [each for each in found if each[1]] == []


def test_the_name_of_a_test_is_short() -> None:
    found = [(str(path.relative_to(ROOT)), long_test_names(path.read_text("utf-8"))) for path in SOURCES]

    assert [each for each in found if each[1]] == []


def test_one_character_more_is_too_long() -> None:
    source = 'def {name}():\n    """{first}\n\n    {rest}\n    """\n'
    fitting = source.format(name=f"test_{'x' * 65}", first="x" * 72, rest="x" * 100)
    too_long = source.format(name=f"test_{'x' * 66}", first="x" * 73, rest="x")

    assert (long_first_lines(fitting), long_test_names(fitting)) == ([], [])
    assert (long_first_lines(too_long), long_test_names(too_long)) == (["x" * 73], [f"test_{'x' * 66}"])
