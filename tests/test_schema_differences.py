"""The published schemas accept exactly what the app accepts."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types

from shared.errors import InvalidInputError
from tests.builders import a_file, a_message
from tests.schema_differences import (
    ONLY_THE_PARSER,
    ONLY_THE_SCHEMA,
    Published,
    bodies,
    disagreement,
    mail_messages,
)
from tests.schema_values import changed, near_valid

MAIL = mail_messages()
BODIES = bodies()
MAIL_VALIDATOR = jsonschema_rs.validator_for(MAIL.schema)
QUIET = list(HealthCheck)

#: A message for each line of `ONLY_THE_PARSER`.
REFUSED_BY_THE_PARSER: tuple[dict[str, Any], ...] = (
    {"to": ["a b@contoso.com"]},
    {"subject": "a\U000e0001b"},
    {"to": ["a@contoso.com"] * 501},
    {"attachments": [a_file(name, contentId="c1") for name in ("a.png", "b.png")]},
    {"expiresAt": "2026-02-30T06:00:00Z"},
    {"expiresAt": "0001-01-01T00:00:00+01:00"},
    {"body": {"contentType": "text", "content": "a" * 50_000}},
    {"subject": "\ud800"},
)


def values(published: Published) -> st.SearchStrategy[Any]:
    """Make values by a schema, whole and changed."""
    made = near_valid(published.schema, published.schema)
    return made | changed(made)


def messages() -> st.SearchStrategy[Any]:
    """Make valid messages by the schema, each then changed at one limit."""
    plain = json.loads(a_message(attachments=[a_file("a.png", inline=True, contentId="c1")]))
    more = {
        "headers": {"x-a": "1"},
        "expiresAt": "2026-12-24T06:00:00Z",
        "cc": [{"address": "a@contoso.com", "name": "A"}],
    }
    return changed(st.just(plain | more)) | values(MAIL)


@given(messages())
@settings(max_examples=100, suppress_health_check=QUIET)
def test_the_mail_schema_takes_what_the_app_takes(message: Any) -> None:
    found = disagreement(MAIL, MAIL_VALIDATOR, message)
    event(f"fits: {MAIL_VALIDATOR.is_valid(message)}")

    assert found is None, json.dumps(message)


@pytest.mark.parametrize("name", BODIES)
def test_the_openapi_document_takes_the_bodies_that_the_app_takes(name: str) -> None:
    published = BODIES[name]
    validator = jsonschema_rs.validator_for(published.schema)

    @given(values(published))
    @settings(max_examples=40, suppress_health_check=QUIET)
    def check(body: Any) -> None:
        found = disagreement(published, validator, body)

        assert found is None, json.dumps(body)

    check()


@pytest.mark.parametrize(
    ("changes", "pattern"),
    list(zip(REFUSED_BY_THE_PARSER, ONLY_THE_PARSER, strict=True)),
    ids=ONLY_THE_PARSER.values(),
)
def test_what_only_the_parser_refuses_is_listed(changes: dict[str, Any], pattern: str) -> None:
    text = a_message(**changes)

    with pytest.raises(InvalidInputError) as refused:
        MAIL.read(text)

    assert Draft202012Validator(MAIL.schema).is_valid(json.loads(text))
    assert all(re.search(pattern, error.message) for error in refused.value.fields)


def test_what_only_the_schema_refuses_is_listed() -> None:
    message = json.loads(a_message(headers={**{f"x-{n}": "v" for n in range(5)}, "x-5": None}))

    assert not MAIL_VALIDATOR.is_valid(message)
    assert MAIL.read(json.dumps(message).encode()).headers == {f"x-{n}": "v" for n in range(5)}
    assert [reason for reason, explains in ONLY_THE_SCHEMA.items() if explains(message)] == [*ONLY_THE_SCHEMA]


@pytest.mark.parametrize("change", [{"from": "a"}, {"message_id": "m"}, {"saveToSentItems": "off"}])
def test_a_schema_that_is_too_loose_is_noticed(change: dict[str, Any]) -> None:
    anything = jsonschema_rs.validator_for({})

    found = disagreement(MAIL, anything, json.loads(a_message(**change)))

    assert found is not None
    assert found.startswith("only the parser refuses")


def test_a_schema_that_is_too_strict_is_noticed() -> None:
    nothing = jsonschema_rs.validator_for({"not": {}})

    assert disagreement(MAIL, nothing, json.loads(a_message())) == "only the schema refuses"
