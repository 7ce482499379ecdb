"""The OData query options that mail searches need; pure.

What is not understood is refused, never ignored: an ignored filter would find everything.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .mail import GraphError, Message

type Test = Callable[[Message], bool]

_TEXT = r"'((?:[^']|'')*)'"
_EXTENDED = re.compile(
    r"singleValueExtendedProperties/any\(\s*(\w+)\s*:\s*\1/id\s+eq\s+"
    + _TEXT
    + r"\s+and\s+\1/value\s+eq\s+"
    + _TEXT
    + r"\s*\)",
    re.IGNORECASE,
)
_EQUALS = re.compile(r"(internetMessageId|subject)\s+eq\s+" + _TEXT)
_BOOLEAN = re.compile(r"(isDraft|hasAttachments)\s+eq\s+(true|false)")
_AND = re.compile(r"\s+and\s+")


@dataclass(frozen=True)
class Query:
    """A list request.

    Attributes:
        tests: all must hold.
        select: properties to write; empty for all.
        top: how many at most.
        skip: how many to leave out first.
        attachments: write them too.
        extended: the id of the extended property to write too.
    """

    tests: tuple[Test, ...] = ()
    select: tuple[str, ...] = ()
    top: int = 10
    skip: int = 0
    attachments: bool = False
    extended: str = ""


def read_query(options: Mapping[str, str]) -> Query:
    """Read the query options; `$orderby` and `$count` have no effect.

    The options are `$filter`, `$select`, `$top`, `$skip` and `$expand`.

    Raises:
        GraphError: 400 for anything else.
    """
    known = {"$filter", "$select", "$top", "$skip", "$expand", "$orderby", "$count"}
    if strange := [name for name in options if name.startswith("$") and name not in known]:
        raise GraphError(400, "ErrorInvalidUrlQuery", f"The query option '{strange[0]}' is not supported.")
    expand = options.get("$expand", "")
    return Query(
        tests=tuple(_tests(options.get("$filter", ""))),
        select=tuple(name.strip() for name in options.get("$select", "").split(",") if name.strip()),
        top=_number(options, "$top", 10, 1000),
        skip=_number(options, "$skip", 0, 1_000_000),
        attachments="attachments" in expand.split(","),
        extended=_expanded_property(expand),
    )


def _number(options: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = options.get(name, str(default))
    if not text.isdecimal() or int(text) > most:
        raise GraphError(400, "ErrorInvalidUrlQuery", f"The value of '{name}' is not valid.")
    return int(text)


def _expanded_property(expand: str) -> str:
    found = re.fullmatch(r"singleValueExtendedProperties\(\$filter=\s*id\s+eq\s+" + _TEXT + r"\s*\)", expand)
    if found:
        return _unquoted(found[1])
    if expand not in {"", "attachments"}:
        raise GraphError(400, "ErrorInvalidUrlQuery", "The value of '$expand' is not supported.")
    return ""


def _tests(text: str) -> list[Test]:
    tests: list[Test] = []
    rest = text.strip()
    while rest:
        test, length = _first_test(rest)
        tests.append(test)
        rest = rest[length:]
        joint = _AND.match(rest)
        if rest.strip() and (joint is None or joint.end() == len(rest)):
            raise _invalid_filter(text)
        rest = rest[joint.end() :] if joint else ""
    return tests


def _first_test(text: str) -> tuple[Test, int]:
    if found := _EXTENDED.match(text):
        name, value = same_property(_unquoted(found[2])), _unquoted(found[3]).lower()
        return (
            lambda m: (name, value) in {(same_property(p["id"]), p["value"].lower()) for p in m.extended},
            found.end(),
        )
    if found := _EQUALS.match(text):
        field, wanted = found[1], _unquoted(found[2])
        return lambda m: m.fields.get(field) == wanted, found.end()
    if found := _BOOLEAN.match(text):
        field, truth = found[1], found[2] == "true"
        if field == "isDraft":
            return lambda m: m.draft is truth, found.end()
        return lambda m: any(not a.inline for a in m.attachments) is truth, found.end()
    raise _invalid_filter(text)


def _invalid_filter(text: str) -> GraphError:
    return GraphError(
        400, "ErrorInvalidUrlQueryFilter", f"The query filter contains one or more invalid nodes: {text}"
    )


def same_property(identity: str) -> str:
    """Return a property id for comparison: type and GUID in lower case.

    Its name is case-sensitive.
    """
    set_of, joint, name = identity.partition(" Name ")
    return set_of.lower() + joint + name


def _unquoted(text: str) -> str:
    return text.replace("''", "'")
