"""JSON values at the limits of a schema, generated and then changed."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hypothesis.strategies import DrawFn, SearchStrategy

type Schema = Mapping[str, Any]
type Place = tuple[Any, Any]

#: Used now and then instead of a random text of a pattern, because chance finds no valid one.
ADDRESSES = ("cfo@contoso.com", "ä@bücher.de", "a@xn--bcher-kva.de", "a+b@contoso.local")
#: What serialisers and people write by mistake.
ODDITIES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    1.0,
    -1,
    "",
    " ",
    "off",
    "null",
    "20261224",
    "2026-02-30T06:00:00Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59",
    [],
    {},
    [None],
    {"": None},
    *ADDRESSES,
)
#: What is put before or behind a text.
EXTRAS = ("\n", "\r\n", " ", "\t", "é", "\u00a0", "\u200b", "\U000e0001", "\x00", "=", "/", "a" * 300)


def near_valid(schema: Schema, root: Schema) -> SearchStrategy[Any]:
    """Return values that mostly fit a schema."""
    if "$ref" in schema:
        return near_valid(_resolved(schema["$ref"], root), root)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "type" not in schema:
        return st.one_of([near_valid(each, root) for each in schema["anyOf"]])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([_KINDS[kind](schema, root) for kind in kinds])


@st.composite
def changed(draw: DrawFn, values: SearchStrategy[Any]) -> Any:
    """Draw a value and change it in up to two places."""
    value = copy.deepcopy(draw(values))
    for _ in range(draw(st.integers(0, 2))):
        places = list(_places(value))
        if places:
            draw(st.sampled_from(CHANGES))(draw, *draw(st.sampled_from(places)))
    return value


def _text(schema: Schema, _root: Schema) -> SearchStrategy[str]:
    pattern = schema.get("pattern")
    if pattern is None:
        return st.text(max_size=20)
    found: SearchStrategy[str] = st.from_regex(re.compile(pattern))
    return st.sampled_from(ADDRESSES) | found if "@" in pattern else found


@st.composite
def _object(draw: DrawFn, schema: Schema, root: Schema) -> dict[str, Any]:
    required = schema.get("required", [])
    value: dict[str, Any] = {}
    for name, member in schema.get("properties", {}).items():
        if name in required or draw(st.booleans()):
            value[name] = draw(near_valid(member, root))
    for pattern, member in schema.get("patternProperties", {}).items():
        names = st.from_regex(re.compile(pattern))
        value |= draw(st.dictionaries(names, near_valid(member, root), max_size=7))
    for rule in (schema, *schema.get("allOf", [])):
        if "anyOf" in rule:
            _satisfy(draw, draw(st.sampled_from(rule["anyOf"])), value, schema, root)
    both = schema.get("not", {}).get("required", [])
    if both and all(value.get(name) is not None for name in both):
        del value[draw(st.sampled_from(both))]
    return value


def _satisfy(draw: DrawFn, alternative: Schema, value: dict[str, Any], schema: Schema, root: Schema) -> None:
    """Make an object satisfy one rule of its `anyOf`."""
    for name, wanted in alternative["properties"].items():
        value[name] = draw(near_valid({**schema["properties"][name], **wanted}, root))


def _array(schema: Schema, root: Schema) -> SearchStrategy[list[Any]]:
    return st.lists(near_valid(schema["items"], root), min_size=schema.get("minItems", 0), max_size=3)


_KINDS: dict[str, Callable[[Schema, Schema], SearchStrategy[Any]]] = {
    "string": _text,
    "object": _object,
    "array": _array,
    "boolean": lambda _schema, _root: st.booleans(),
    "integer": lambda _schema, _root: st.integers(),
    "null": lambda _schema, _root: st.none(),
}


def _resolved(reference: str, root: Schema) -> Schema:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


def _places(value: Any) -> Iterator[Place]:
    """Yield every container with a key or an index into it."""
    if not isinstance(value, dict | list):
        return
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        yield from _places(value[key])


def _replace(draw: DrawFn, container: Any, key: Any) -> None:
    container[key] = copy.deepcopy(draw(st.sampled_from(ODDITIES)))


def _remove(_draw: DrawFn, container: Any, key: Any) -> None:
    del container[key]


def _extend(draw: DrawFn, container: Any, key: Any) -> None:
    """Extend a text at one end, or repeat an item of a list."""
    value, more = container[key], draw(st.sampled_from(EXTRAS))
    if isinstance(value, str):
        container[key] = draw(st.sampled_from([value + more, more + value]))
    elif isinstance(value, list):
        container[key] = value * draw(st.sampled_from([2, 300]))


def _wrap(draw: DrawFn, container: Any, key: Any) -> None:
    container[key] = draw(st.sampled_from([[container[key]], {"value": container[key]}]))


def _rename(draw: DrawFn, container: Any, key: Any) -> None:
    if isinstance(key, str):
        snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
        names = [key.upper(), f"{key} ", f"{key}\n", snake, "from", "x-ms-a"]
        container[draw(st.sampled_from(names))] = container.pop(key)


CHANGES = (_replace, _remove, _extend, _wrap, _rename)
