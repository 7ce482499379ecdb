"""The published schema of outcome messages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it ships no types
import pytest

from shared.deliveries.outcome_message import MailOutcome, outcome_message
from shared.deliveries.outcome_schema import mail_outcome_schema, schema_text
from shared.deliveries.status import FINAL, DeliveryStatus
from tests.delivery_document import example

PUBLISHED = Path(__file__).parents[2] / "docs" / "mail-outcome.schema.json"


def message(status: DeliveryStatus) -> dict[str, Any]:
    row = replace(example(status), outcome_count=0).with_unreported_outcome()
    found: dict[str, Any] = json.loads(outcome_message(row, row.unreported_outcomes[0]))
    return found


def test_the_published_schema_is_that_of_the_code() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text(), "Write it again: make documents"


@pytest.mark.parametrize("status", sorted(FINAL))
def test_a_message_of_each_outcome_fits_the_schema(status: DeliveryStatus) -> None:
    jsonschema.validate(message(status), mail_outcome_schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize("status", sorted(FINAL))
def test_a_message_has_every_member_and_names_no_address(status: DeliveryStatus) -> None:
    found = message(status)

    assert found.keys() == mail_outcome_schema()["properties"].keys()
    assert "@" not in json.dumps(found)


def test_a_reader_takes_members_that_are_added_later() -> None:
    found = message(DeliveryStatus.INVALID) | {"added": 1}
    found["errors"][0]["added"] = 1

    jsonschema.validate(found, mail_outcome_schema(), jsonschema.Draft202012Validator)


def test_the_example_of_the_scheduler_page_fits_the_contract() -> None:
    page = (PUBLISHED.parent / "scheduler.md").read_text(encoding="utf-8")
    example_text = page.partition("### Receive the outcome")[2].partition("```json")[2].partition("```")[0]

    MailOutcome.model_validate_json(example_text)
