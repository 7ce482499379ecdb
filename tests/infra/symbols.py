"""Names inside the template: declared before use, used once declared, modules called as they ask."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from tests.infra.project import Project
    from tests.infra.template import Declaration, Template

#: Functions and namespaces of the language that `infra/` uses. A new one is added here on purpose.
BUILT_IN = frozenset(
    [
        "allowed",
        "cidrSubnet",
        "concat",
        "contains",
        "description",
        "empty",
        "environment",
        "guid",
        "items",
        "loadJsonContent",
        "loadTextContent",
        "maxLength",
        "maxValue",
        "metadata",
        "minLength",
        "minValue",
        "replace",
        "split",
        "string",
        "subscription",
        "subscriptionResourceId",
        "tenant",
        "union",
        "uniqueString",
    ]
)


def symbols_are_declared(project: Project) -> Iterator[str]:
    """Every identifier is declared in its file, bound by a loop, or part of the language."""
    for template in project.templates.values():
        known = {item.name for item in template.declarations if item.kind != "output"} | BUILT_IN
        for node, scope in _references(template.root, frozenset()):
            if _text(node) not in known | scope:
                yield f"{template.path}:{node.start_point[0] + 1} {_text(node)} is not declared"


def symbols_are_unique(project: Project) -> Iterator[str]:
    """No file declares a name twice."""
    for template in project.templates.values():
        names = [item.name for item in template.declarations if item.kind != "output"]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{template.path}: {name} is declared twice"


def declarations_are_used(project: Project) -> Iterator[str]:
    """Every parameter and variable is read somewhere."""
    for template in project.templates.values():
        read = {_text(node) for node, _ in _references(template.root, frozenset())}
        for item in template.declarations:
            if item.kind in {"parameter", "variable"} and item.name not in read:
                yield f"{template.path}:{item.line} {item.name} is never used"


def modules_get_what_they_ask_for(project: Project) -> Iterator[str]:
    """A module gets every parameter without default and none that it does not know."""
    for caller, call, called in _calls(project):
        given = set(params.keys) if (params := call.at("params")) else set()
        asked = {item.name: item for item in called.of("parameter")}
        for name in sorted(given - asked.keys()):
            yield f"{caller.path}:{call.line} {call.name} does not know the parameter {name}"
        for name in sorted(name for name, item in asked.items() if not item.body and name not in given):
            yield f"{caller.path}:{call.line} {call.name} needs the parameter {name}"


def module_outputs_exist(project: Project) -> Iterator[str]:
    """Every output that is read is one of that module's."""
    for caller, call, called in _calls(project):
        outputs = {item.name for item in called.of("output")}
        for name in sorted(_read_outputs(caller.root, call.name) - outputs):
            yield f"{caller.path}: {call.name} has no output {name}"


def module_outputs_are_read(project: Project) -> Iterator[str]:
    """No module hands out what its caller does not read."""
    for caller, call, called in _calls(project):
        outputs = {item.name for item in called.of("output")}
        for name in sorted(outputs - _read_outputs(caller.root, call.name)):
            yield f"{called.path}: the output {name} is read by nobody"


def modules_exist_and_are_called(project: Project) -> Iterator[str]:
    """Every module call names a file, and every module file is called."""
    called = {
        _path(template, call) for template in project.templates.values() for call in template.of("module")
    }
    for path in sorted(called - project.templates.keys()):
        yield f"{path} is called but does not exist"
    for path in sorted(project.templates.keys() - called - {project.main.path}):
        yield f"{path} is never called"


def loaded_files_exist(project: Project) -> Iterator[str]:
    """Every file that a template loads is there."""
    for template in project.templates.values():
        for call in _nodes(template.root, "call_expression"):
            name, arguments = call.named_children
            if _text(name) in {"loadJsonContent", "loadTextContent"}:
                path = _beside(template.path, _text(arguments.named_children[0]).strip("'"))
                if path not in project.files:
                    yield f"{template.path}: {path} is loaded but does not exist"


def _calls(project: Project) -> Iterator[tuple[Template, Declaration, Template]]:
    for template in project.templates.values():
        for call in template.of("module"):
            if called := project.templates.get(_path(template, call)):
                yield template, call, called


def _path(template: Template, call: Declaration) -> str:
    return _beside(template.path, call.target)


def _beside(path: str, relative: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), relative))


def _references(node: Node, scope: frozenset[str]) -> Iterator[tuple[Node, frozenset[str]]]:
    """Identifiers that are read, each with the loop variables that hold there."""
    children = [child for child in node.named_children if child.type != "comment"]
    if node.type == "identifier":
        yield node, scope
        return
    if node.type.endswith("_declaration") or node.type == "object_property":
        children = children[1:]  # The first child is the name that is being given.
    if node.type == "for_statement":
        *bound, source, body = children
        yield from _references(source, scope)
        names = {_text(name) for part in bound for name in part.named_children or [part]}
        children, scope = [body], scope | names
    for child in children:
        yield from _references(child, scope)


def _read_outputs(root: Node, module: str) -> set[str]:
    found = set()
    for node in _nodes(root, "member_expression"):
        parts = _text(node).replace("!", "").split(".")
        if parts[:2] == [module, "outputs"] and len(parts) > 2:
            found.add(parts[2])
    return found


def _nodes(node: Node, kind: str) -> Iterator[Node]:
    if node.type == kind:
        yield node
    for child in node.named_children:
        yield from _nodes(child, kind)


def _text(node: Node) -> str:
    return (node.text or b"").decode()


RULES = (
    symbols_are_declared,
    symbols_are_unique,
    declarations_are_used,
    modules_get_what_they_ask_for,
    module_outputs_exist,
    module_outputs_are_read,
    modules_exist_and_are_called,
    loaded_files_exist,
)
