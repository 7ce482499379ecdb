"""`docs/requirements.md`: each requirement once, only existing tests."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINE = re.compile(r"\| R(\d+) \| (.+) \| (.+) \|")
PROMISES = LINE.findall((ROOT / "docs" / "requirements.md").read_text("utf-8"))
NAMED = [name for _, _, proof in PROMISES for name in re.findall(r"`(tests/[^`]+)`", proof)]


def test_every_requirement_is_there_once_in_its_order() -> None:
    assert [int(number) for number, _, _ in PROMISES] == list(range(1, 22))


@pytest.mark.parametrize(("number", "proof"), [(number, proof) for number, _, proof in PROMISES])
def test_a_requirement_has_a_test_or_is_marked_as_open(number: str, proof: str) -> None:
    assert "`tests/" in proof or "*open*" in proof, f"R{number} is proved by nothing"


@pytest.mark.parametrize("name", NAMED)
def test_a_named_test_exists(name: str) -> None:
    path, _, test = name.partition("::")
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    assert not test or test in defined | assigned
