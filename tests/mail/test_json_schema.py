"""The published JSON Schema describes exactly the accepted messages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types

from shared.errors import InvalidInputError
from shared.mail.json_schema import mail_message_schema, schema_text
from shared.mail.message import parse_mail_request
from tests.builders import a_file, a_message

PUBLISHED = Path(__file__).parents[2] / "docs" / "mail-message.schema.json"
ACCEPTED = sorted((Path(__file__).parent / "accepted_messages").glob("*.json"))


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


#: Refused by both. Invisible characters above U+FFFF are refused by the contract alone: see below.
NO_LINES = ("a\nb", "a\x85b", "a\u2028b", "\u202efdp.exe", "a\u200bb", "\ufeffa", "a\u00adb", "a\u2066b")
#: What only the contract refuses: JSON Schema has no notation for these that works in all validators.
ONLY_THE_CONTRACT = {"a language tag": "a\U000e0001b", "a musical format": "a\U0001d173b"}


NO_BASE64 = (
    "filesystem-v2",
    "data:image/jpeg;base64,/9j/",
    "-_-_",
    "sales.pdf",
    "====",
    "YQ=",
    "YQ",
    "Y",
    "YQ== YQ==",
    "YQ==YQ==",
    " YQ==",
    "YQé=",
)


#: Changes of a valid message that leave it valid.
TAKEN: tuple[dict[str, Any], ...] = (
    {},
    {"attachments": [a_file("a.pdf", inline=True, contentId="c1")], "headers": {"x-a": "1"}},
    {"to": ["a@contoso.com", {"address": "b@contoso.com", "name": "B"}], "importance": "high"},
    {"to": [], "bcc": ["a@contoso.com"]},
    {"attachments": [a_file("größe & co/..a/sales (1).pdf")]},
    {"expiresAt": "2026-11-24T06:00:00Z", "body": {"contentType": "text", "blob": "a.txt"}},
    {"expiresAt": "2026-11-24t06:00:00.1234567+05:30"},
    {"to": ["ä@bücher.de", "a@xn--bcher-kva.de", "cfo@contoso.local"]},
    {"cc": None, "attachments": None, "importance": None, "saveToSentItems": None, "headers": None},
    {"expiresAt": None, "correlationId": None, "headers": {"x-a": None}},
    {"body": {"contentType": "text", "content": "a", "blob": None}},
    {"to": [{"address": "a@contoso.com", "name": None}]},
    {"attachments": [{"name": "a", "contentType": "a/b", "contentBytes": "YWJj\r\nYQ==\n", "inline": None}]},
    {"attachments": [{"name": "a.ics", "contentType": "text/calendar; method=REQUEST", "blob": "a.ics"}]},
    {"schemaVersion": 1.0},
    {"isReadReceiptRequested": True, "isDeliveryReceiptRequested": None},
    {"listUnsubscribe": "<https://contoso.com/leave?id=1>, <mailto:leave@contoso.com>"},
    {"listUnsubscribe": "<https://contoso.com>", "listUnsubscribePost": "List-Unsubscribe=One-Click"},
    {"listUnsubscribe": None, "listUnsubscribePost": None},
)
#: Changes after which neither schema nor contract takes it.
REFUSED: tuple[dict[str, Any], ...] = (
    {"from": "ceo@contoso.com"},
    {"messageId": "a b"},
    {"messageId": "."},
    {"messageId": ".."},
    {"schemaVersion": 2},
    {"subject": None},
    {"subject": "a\r\nb"},
    {"headers": {"subject": "x"}},
    {"headers": {"subject": None}},
    {"headers": {"x-ms-a": None}},
    {"headers": ["x-a"]},
    {"from": None},
    {"headers": {f"x-{n}": "v" for n in range(6)}},
    {"importance": "urgent"},
    {"to": []},
    {"body": {"contentType": "text"}},
    {"body": {"contentType": "text", "content": "a", "blob": "a.txt"}},
    {"attachments": [{"name": "a.pdf", "contentType": "no type", "blob": "a"}]},
    {"attachments": [{"name": "a.pdf", "contentType": "text/csv; charset=utf-8", "blob": "a"}]},
    {"attachments": [{"name": "a.pdf", "contentType": "a/b", "blob": "a", "contentBytes": "YQ=="}]},
    {"attachments": [a_file("a.pdf", inline=True)]},
    {"isReadReceiptRequested": "true"},
    {"isDeliveryReceiptRequested": 1},
    {"listUnsubscribe": "https://contoso.com"},
    {"listUnsubscribe": "<https://contoso.com>\n"},
    {"listUnsubscribe": ["<https://contoso.com>"]},
    {"listUnsubscribePost": "List-Unsubscribe=One-Click"},
    {"listUnsubscribe": "<mailto:a@contoso.com>", "listUnsubscribePost": "List-Unsubscribe=One-Click"},
    {"listUnsubscribe": "<https://contoso.com>", "listUnsubscribePost": "One-Click"},
    {"schemaVersion": True},
    {"schemaVersion": None},
    {"message_id": "m-1"},
    {"saveToSentItems": "off"},
    {"saveToSentItems": 0},
    {"expiresAt": 0},
    {"expiresAt": "20261224"},
    {"expiresAt": "2026-12-24"},
    {"expiresAt": "2026-12-24T06:00:00"},
    {"messageId": "m-1\n"},
    {"tenantId": "6f1c"},
    {"to": ["reports"]},
    {"to": [None]},
    {"to": [{"address": None}]},
    {"to": {"address": "a@contoso.com"}},
    {"to": None},
    {"body": {"contentType": "text", "content": None}},
    {"body": {"contentType": "text", "content": None, "blob": None}},
    {"attachments": [{"name": "a", "contentType": "a/b", "blob": None}]},
    {"attachments": [{"name": "a.pdf", "contentType": "bücher/pdf", "blob": "a"}]},
    {"attachments": [{"name": "a", "contentType": "text/csv; method=REQUEST", "blob": "a"}]},
    {"attachments": [a_file("a.pdf", inline=True, contentId=None)]},
    {"headers": {"x-a\n": "1"}},
    {"attachments": [{"name": "a", "contentType": "a/b", "contentBytes": 7}]},
    *({"attachments": [{"name": "a", "contentType": "a/b", "contentBytes": text}]} for text in NO_BASE64),
    *({"attachments": [{"name": "a", "contentType": "a/b", "blob": path}]} for path in NO_PATHS),
    *({"subject": line} for line in NO_LINES),
    *({"to": [{"address": "b@contoso.com", "name": line}]} for line in NO_LINES),
    *({"attachments": [a_file("a.pdf", name=line)]} for line in NO_LINES),
    *({"attachments": [a_file("a.pdf", contentId=line)]} for line in NO_LINES),
    *({"headers": {"x-a": line}} for line in NO_LINES),
    *({"correlationId": line} for line in NO_LINES),
    *({"cc": [f"b{each}@contoso.com"]} for each in ("\u200b", "\u200d", "\u061c", "\u202e", "\x7f")),
    *({"headers": {name: "1"}} for name in ("x-ms-exchange-organization-scl", "X-MS-Has-Attach", "x-Ms-1")),
)


def changed(changes: dict[str, Any]) -> bytes:
    """Change a valid message; a member that becomes None is sent as null."""
    return json.dumps({**json.loads(a_message()), **changes}).encode()


def agrees(text: bytes) -> tuple[bool, bool]:
    """Return whether schema and parser accept a message."""
    try:
        parse_mail_request(text)
    except InvalidInputError:
        taken = False
    else:
        taken = True
    return Draft202012Validator(mail_message_schema()).is_valid(json.loads(text)), taken


def test_the_published_file_equals_the_schema_of_the_model() -> None:
    assert PUBLISHED.read_text("utf-8") == schema_text(), (
        "Write it again: python -m shared.mail.json_schema > docs/mail-message.schema.json"
    )


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(mail_message_schema())


def test_the_command_prints_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shared.mail.json_schema"],
        cwd=PUBLISHED.parents[1],
        capture_output=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.decode() == schema_text()


@pytest.mark.parametrize("changes", TAKEN)
def test_what_the_contract_takes_the_schema_takes(changes: dict[str, Any]) -> None:
    assert agrees(changed(changes)) == (True, True)


@pytest.mark.parametrize("changes", REFUSED)
def test_what_the_schema_refuses_the_contract_refuses(changes: dict[str, Any]) -> None:
    assert agrees(changed(changes)) == (False, False)


@pytest.mark.parametrize("subject", ONLY_THE_CONTRACT.values(), ids=ONLY_THE_CONTRACT)
def test_above_ffff_only_the_contract_refuses_what_cannot_be_seen(subject: str) -> None:
    assert agrees(a_message(subject=subject)) == (True, False)


@pytest.mark.parametrize("name", ["x-msx", "x-mailer", "x-m-s-a", "X-MS"])
def test_a_header_that_only_resembles_those_of_microsoft_is_accepted(name: str) -> None:
    assert agrees(a_message(headers={name: "1"})) == (True, True)


def test_every_member_is_described() -> None:
    schema = mail_message_schema()
    shapes = [schema, *(shape for shape in schema["definitions"].values() if "properties" in shape)]

    assert [
        name
        for shape in shapes
        for name, member in shape["properties"].items()
        if "description" not in member
    ] == []


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_a_message_that_version_1_once_accepted_stays_valid(path: Path) -> None:
    """Add files here; a failing one breaks the promise in docs/scheduler.md."""
    assert agrees(path.read_bytes()) == (True, True)


def test_the_schema_names_its_version() -> None:
    assert mail_message_schema()["$id"].endswith(":1")


def test_the_messages_that_version_1_accepted_are_found() -> None:
    assert len(ACCEPTED) >= 3
