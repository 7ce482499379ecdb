"""Values as JSON, for one column of a table row."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - any dataclass
    """Building an adapter takes a hundred times as long as using it."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def write_document(value: object) -> str:
    """Write a value, without what belongs to the row that was read."""
    return _adapter(type(value)).dump_json(value, exclude={"etag", "stored"}, exclude_defaults=True).decode()


def read_document[Value](kind: type[Value], text: str) -> Value:
    """Read a value back."""
    found: Value = _adapter(kind).validate_json(text)
    return found
