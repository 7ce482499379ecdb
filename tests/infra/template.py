"""A Bicep file as declarations and values. Pure: text in, frozen objects out.

The grammar is tree-sitter's; it does not know `extension`, so that line is blanked before parsing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARSER = Parser(Language(tree_sitter_bicep.language()))
_EXTENSION = re.compile(r"^extension \w+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Value:
    """Any expression; `parts` are the values directly inside it."""

    text: str
    line: int
    kind: str
    parts: tuple[Value, ...] = ()
    keys: tuple[str, ...] = ()

    @property
    def literal(self) -> str | None:
        """The text of a string without interpolation, or of a number or boolean."""
        if self.kind == "string":
            return None if self.parts else self.text
        return self.text if self.kind in {"number", "boolean", "null"} else None

    @property
    def properties(self) -> dict[str, Value]:
        """An object's properties by name."""
        return dict(zip(self.keys, self.parts, strict=True)) if self.kind == "object" else {}

    def at(self, path: str) -> Value | None:
        """The value under a dotted path of properties."""
        value: Value | None = self
        for key in path.split("."):
            value = value.properties.get(key) if value else None
        return value

    def walk(self) -> Iterator[Value]:
        """This value and everything inside it."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def strings(self) -> set[str]:
        """Every string literal inside."""
        return {value.text for value in self.walk() if value.kind == "string"}


@dataclass(frozen=True, slots=True)
class Declaration:
    """A parameter, variable, resource, module or output.

    Attributes:
        kind: `parameter`, `variable`, `resource`, `module` or `output`.
        target: a resource's type without version, a module's path, a parameter's or output's type.
        body: its value; for a loop or condition the object inside.
    """

    kind: str
    name: str
    line: int
    target: str = ""
    version: str = ""
    existing: bool = False
    body: Value | None = None
    decorators: tuple[str, ...] = ()

    def at(self, path: str) -> Value | None:
        """The value under a dotted path of the body."""
        return self.body.at(path) if self.body else None


@dataclass(frozen=True, slots=True)
class Template:
    """One file."""

    path: str
    root: Node
    declarations: tuple[Declaration, ...]

    def of(self, kind: str, target: str = "") -> list[Declaration]:
        """The declarations of a kind, and of a target if one is given."""
        return [item for item in self.declarations if item.kind == kind and target in {"", item.target}]

    def named(self, name: str) -> Declaration | None:
        """The declaration with this symbol."""
        return next((item for item in self.declarations if item.name == name), None)


@lru_cache(maxsize=256)
def parse(path: str, text: str) -> Template:
    """Read one file; what the grammar does not take stays an ERROR node for `syntax.py` to report."""
    source = _EXTENSION.sub(lambda found: " " * len(found[0]), text)
    root = _PARSER.parse(source.encode()).root_node
    return Template(path, root, tuple(_declarations(root)))


def _declarations(root: Node) -> Iterator[Declaration]:
    decorators: tuple[str, ...] = ()
    for node in root.named_children:
        if node.type == "decorators":
            decorators = tuple(_text(child).removeprefix("@") for child in node.named_children)
            continue
        kind = node.type.removesuffix("_declaration")
        if kind in {"parameter", "variable", "resource", "module", "output"}:
            yield _declaration(kind, node, decorators)
        decorators = ()


def _declaration(kind: str, node: Node, decorators: tuple[str, ...]) -> Declaration:
    name, *rest = node.named_children
    target = version = ""
    if kind in {"resource", "module"}:
        target, _, version = _text(rest.pop(0)).strip("'").partition("@")
    elif kind in {"parameter", "output"}:
        target = _text(rest.pop(0))
    body = _value(rest[-1]) if rest else None
    if body and kind in {"resource", "module"}:
        body = _inner(body)
    existing = any(child.type == "existing" for child in node.children)
    return Declaration(kind, _text(name), _line(node), target, version, existing, body, decorators)


def _inner(value: Value) -> Value:
    """What a loop or condition on a resource or module yields."""
    while value.kind in {"for_statement", "if_statement"}:
        value = value.parts[-1]
    return value


def _value(node: Node) -> Value:
    if node.type == "object":
        entries = [child for child in node.named_children if child.type == "object_property"]
        pairs = [(_text(entry.named_children[0]).strip("'"), entry.named_children[-1]) for entry in entries]
        parts = tuple(_value(value) for _, value in pairs)
        return Value(_text(node), _line(node), "object", parts, tuple(key for key, _ in pairs))
    children = [child for child in node.named_children if child.type != "comment"]
    if node.type == "string":
        parts = tuple(_value(child) for child in children if child.type == "interpolation")
        return Value(_string(node), _line(node), "string", parts)
    return Value(_text(node), _line(node), node.type, tuple(_value(child) for child in children))


def _string(node: Node) -> str:
    text = _text(node)
    return text.removeprefix("'''").removesuffix("'''") if text.startswith("'''") else text.strip("'")


def _text(node: Node) -> str:
    return (node.text or b"").decode()


def _line(node: Node) -> int:
    return node.start_point[0] + 1
