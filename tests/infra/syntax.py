"""Grammar: every Bicep file parses, every JSON file is JSON, every query is balanced."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from tests.infra.project import Project

_PAIRS = {")": "(", "]": "[", "}": "{"}


def bicep_parses(project: Project) -> Iterator[str]:
    """Every Bicep file follows the grammar."""
    for path, template in project.templates.items():
        for node in _broken(template.root):
            what = f"{node.type} is missing" if node.is_missing else "cannot be read"
            yield f"{path}:{node.start_point[0] + 1} {what}"


def json_parses(project: Project) -> Iterator[str]:
    """Every JSON file is JSON."""
    for path, text in project.files.items():
        if not path.endswith(".json"):
            continue
        try:
            json.loads(text)
        except ValueError as error:
            yield f"{path}: {error}"


def queries_are_balanced(project: Project) -> Iterator[str]:
    """Every query closes the brackets and quotes that it opens."""
    for path, text in project.files.items():
        if path.endswith(".kql") and not _balanced(text):
            yield f"{path}: a bracket or quote is left open"


def _broken(node: Node) -> Iterator[Node]:
    if node.type == "ERROR" or node.is_missing:
        yield node
        return
    for child in node.children:
        yield from _broken(child)


def _balanced(query: str) -> bool:
    open_brackets: list[str] = []
    lines = [line for line in query.splitlines() if not line.lstrip().startswith("//")]
    for index, piece in enumerate("\n".join(lines).split("'")):
        quoted = index % 2 == 1
        for sign in "" if quoted else piece:
            if sign in _PAIRS.values():
                open_brackets.append(sign)
            elif sign in _PAIRS and (not open_brackets or open_brackets.pop() != _PAIRS[sign]):
                return False
    return not open_brackets and sum(line.count("'") for line in lines) % 2 == 0


RULES = (bicep_parses, json_parses, queries_are_balanced)
