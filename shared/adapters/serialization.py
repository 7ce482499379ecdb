"""Read and write values as JSON for one column of a table row.

Members that only another version of the app knows are preserved when a value is written again.
"""

from __future__ import annotations

import functools
import json
from dataclasses import fields, is_dataclass
from enum import EnumType
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from shared.forward_compatible import OTHER_VERSION, STORED_AS

if TYPE_CHECKING:
    from collections.abc import Mapping

_ADDITIONS = "additions"


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - any dataclass
    """Return a cached adapter; building one takes 100 times as long as a use."""
    return TypeAdapter(kind)


def write_document(value: object) -> str:
    """Write a value, without the members that have columns of their own."""
    kind: Any = type(value)
    written = _adapter(kind).dump_python(
        value, mode="json", exclude={"etag", "stored_status"}, exclude_defaults=True
    )
    return json.dumps(_merge_additions(kind, written), ensure_ascii=False, separators=(",", ":"))


def read_document[Value](kind: type[Value], text: object) -> Value | None:
    """Read a value; None if this version of the app cannot read it."""
    shape: Any = kind
    try:
        found: Value = _adapter(shape).validate_python(_separate_additions(shape, json.loads(str(text))))
    except (ValidationError, ValueError, RecursionError):
        return None
    return found


class _Member(NamedTuple):
    """A member of a dataclass: the name in storage, and the nested type."""

    stored_as: str
    inner: Any


@functools.cache
def _members(kind: Any) -> Mapping[str, _Member]:  # noqa: ANN401 - any dataclass
    """Return the members of a dataclass by name."""
    hints = get_type_hints(kind)
    return {
        part.name: _Member(part.metadata.get(STORED_AS, part.name), _nested_type(hints[part.name]))
        for part in fields(kind)
    }


def _nested_type(hint: Any) -> Any:  # noqa: ANN401 - a type hint
    """Return the dataclass or enumeration inside a type hint, if any.

    For `X | None` and `tuple[X, ...]` this is `X`.
    """
    for candidate in (hint, *get_args(hint)):
        if is_dataclass(candidate) or _is_enum(candidate):
            return candidate
    return None


def _is_enum(kind: Any) -> bool:  # noqa: ANN401 - a type hint
    return isinstance(kind, EnumType)


def _separate_additions(kind: Any, found: Any) -> Any:  # noqa: ANN401 - JSON, and what it is to become
    """Move members that this version does not know into `additions`."""
    if isinstance(found, list):
        return [_separate_additions(kind, each) for each in found]
    if not isinstance(found, dict) or not is_dataclass(kind):
        return found
    shape: Any = kind
    parts = _members(shape)
    additions = dict(found)
    known = {
        name: _separate_additions(part.inner, additions.pop(part.stored_as))
        for name, part in parts.items()
        if part.stored_as in found
    }
    for name, value in known.items():
        if _is_unknown(parts[name].inner, value):
            known[name], additions[parts[name].stored_as] = OTHER_VERSION, value
    return {**known, _ADDITIONS: additions}


def _is_unknown(kind: Any, value: object) -> bool:  # noqa: ANN401 - a type hint
    """Return whether an enumerated value is unknown to this version."""
    if not _is_enum(kind):
        return False
    known = {member.value for member in kind}
    return isinstance(value, str) and value not in known and OTHER_VERSION in known


def _merge_additions(kind: Any, written: Any) -> Any:  # noqa: ANN401 - JSON, and what it was
    """Put `additions` back where they were read.

    A value that has changed since is not replaced.
    """
    if isinstance(written, list):
        return [_merge_additions(kind, each) for each in written]
    if not isinstance(written, dict) or not is_dataclass(kind):
        return written
    shape: Any = kind
    parts = _members(shape)
    known = {
        parts[name].stored_as: _merge_additions(parts[name].inner, value)
        for name, value in written.items()
        if name != _ADDITIONS and not (_is_enum(parts[name].inner) and value == OTHER_VERSION)
    }
    return {**written.get(_ADDITIONS, {}), **known}
