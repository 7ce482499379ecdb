"""The table in the docstring of the local Microsoft 365 is complete."""

from __future__ import annotations

import re
from dataclasses import fields

from tests.local_stack import microsoft365
from tests.local_stack.microsoft365.behaviour import Behaviour
from tests.local_stack.microsoft365.faults import FAULT_EFFECTS, Effect

_NAME = re.compile(r"`(\w+)`")
_EFFECT = re.compile(r"\"([^\"]+)\"")


def _rows() -> list[tuple[str, str, str]]:
    lines = (microsoft365.__doc__ or "").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("---"))
    rows: list[tuple[str, str, str]] = []
    for line in lines[start + 1 :]:
        if "|" not in line:
            continue
        trait, official, here = (cell.strip() for cell in line.split("|"))
        if trait:
            rows.append((trait, official, here))
        else:
            # A continued row.
            first, one, other = rows.pop()
            rows.append((first, f"{one} {official}", f"{other} {here}"))
    return rows


def test_each_row_states_the_official_and_the_imitated_behaviour() -> None:
    rows = _rows()

    assert all(all(row) for row in rows)
    assert len({trait for trait, _, _ in rows}) == len(rows)


#: What Microsoft documents or users report, by a word of its row.
_TRAITS = (
    "context of responses",
    "message on 201",
    "chunk response",
    "error codes",
    "mail on its way",
    "429, mail taken",
    "503, mail taken",
    "202 with Retry-After",
    "refused, mail taken",
    "requests at a time",
    "calls",
    "uploads",
    "claims challenge",
    "402, 409, 410, 423",
    "rights and roles",
    "RBAC for Applications",
    "access policies",
    "consent in tokens",
    "new draft, session",
    "file sizes",
    "draft just sent",
    "look-up by property",
    "names of an account",
    "subject",
    "Entra's throttling",
    "Graph's access token",
    "upload chunks",
)


def test_every_known_trait_has_a_row() -> None:
    traits = [trait for trait, _, _ in _rows()]

    assert [known for known in _TRAITS if not any(trait.startswith(known) for trait in traits)] == []


def test_every_switch_has_a_row() -> None:
    named = {name for _, _, here in _rows() for name in _NAME.findall(here)}

    assert {switch.name for switch in fields(Behaviour)} - named == set()


def test_every_name_in_the_table_exists() -> None:
    known = {each.name for kind in (Behaviour, Effect) for each in fields(kind)}

    assert {name for _, _, here in _rows() for name in _NAME.findall(here)} <= known
    assert {name for _, _, here in _rows() for name in _EFFECT.findall(here)} <= set(FAULT_EFFECTS)
