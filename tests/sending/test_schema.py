"""The published JSON Schema says what the queue takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types

from shared.errors import InvalidInputError
from shared.sending.request import parse_mail_request
from shared.sending.schema import mail_message_schema, schema_text
from tests.builders import a_file, a_message

PUBLISHED = Path(__file__).parents[2] / "docs" / "mail-message.schema.json"


NO_PATHS = (
    "",
    "/a",
    "a/",
    "a//b",
    "..",
    "../a",
    "a/../b",
    "a/.",
    "sales:1/a",
    "a?b",
    "a#b",
    "a%20b",
    "a\\b",
    "a\nb",
)


def agrees(text: bytes) -> tuple[bool, bool]:
    """Say whether schema and contract take a message."""
    try:
        parse_mail_request(text)
    except InvalidInputError:
        taken = False
    else:
        taken = True
    return Draft202012Validator(mail_message_schema()).is_valid(json.loads(text)), taken


def test_the_published_file_is_what_the_model_says() -> None:
    assert PUBLISHED.read_text("utf-8") == schema_text(), (
        "Write it again: python -m shared.sending.schema > docs/mail-message.schema.json"
    )


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(mail_message_schema())


def test_the_command_prints_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shared.sending.schema"],
        cwd=PUBLISHED.parents[1],
        capture_output=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.decode() == schema_text()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attachments": [a_file("a.pdf", inline=True, contentId="c1")], "headers": {"x-a": "1"}},
        {"to": ["a@contoso.com", {"address": "b@contoso.com", "name": "B"}], "importance": "high"},
        {"to": [], "bcc": ["a@contoso.com"]},
        {"attachments": [a_file("größe & co/..a/sales (1).pdf")]},
        {"expiresAt": "2026-11-24T06:00:00Z", "body": {"contentType": "text", "blob": "a.txt"}},
    ],
)
def test_what_the_contract_takes_the_schema_takes(changes: dict[str, Any]) -> None:
    assert agrees(a_message(**changes)) == (True, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"from": "ceo@contoso.com"},
        {"messageId": "a b"},
        {"schemaVersion": 2},
        {"subject": None},
        {"subject": "a\r\nb"},
        {"headers": {"subject": "x"}},
        {"headers": {f"x-{n}": "v" for n in range(6)}},
        {"importance": "urgent"},
        {"to": []},
        {"body": {"contentType": "text"}},
        {"body": {"contentType": "text", "content": "a", "blob": "a.txt"}},
        {"attachments": [{"name": "a.pdf", "contentType": "no type", "blob": "a"}]},
        {"attachments": [{"name": "a.pdf", "contentType": "text/csv; charset=utf-8", "blob": "a"}]},
        {"attachments": [{"name": "a.pdf", "contentType": "a/b", "blob": "a", "contentBytes": "YQ=="}]},
        {"attachments": [a_file("a.pdf", inline=True)]},
        *({"attachments": [{"name": "a", "contentType": "a/b", "blob": path}]} for path in NO_PATHS),
    ],
)
def test_what_the_schema_refuses_the_contract_refuses(changes: dict[str, Any]) -> None:
    assert agrees(a_message(**changes)) == (False, False)


def test_every_member_is_described() -> None:
    schema = mail_message_schema()
    shapes = [schema, *(shape for shape in schema["$defs"].values() if "properties" in shape)]

    assert [
        name
        for shape in shapes
        for name, member in shape["properties"].items()
        if "description" not in member
    ] == []
