"""Every validator accepts the same messages as the app."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import fastjsonschema
import jsonschema_rs
import pytest

from shared.mail.json_schema import mail_message_schema
from tests.interop import HERE
from tests.interop.conftest import run
from tests.mail.test_json_schema import REFUSED, TAKEN, changed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.conftest import Run

MESSAGES = [json.loads(changed(changes)) for changes in (*TAKEN, *REFUSED)]
EXPECTED = [True] * len(TAKEN) + [False] * len(REFUSED)
NPM = ("ajv", "cfworker", "hyperjump", "jsonschema", "schemasafe")


def differences(results: list[bool]) -> list[dict[str, Any]]:
    """Return the changes on which a validator differs from the app."""
    assert len(results) == len(EXPECTED)
    found = zip((*TAKEN, *REFUSED), results, EXPECTED, strict=True)
    return [changes for changes, result, expected in found if result is not expected]


def validator_input() -> str:
    return json.dumps({"schema": mail_message_schema(), "values": MESSAGES})


@pytest.fixture(scope="module")
def npm_results(npm: Path) -> dict[str, list[bool]]:
    found: dict[str, list[bool]] = json.loads(run("node", HERE / "validators.mjs", text=validator_input()))
    return found


@pytest.mark.parametrize("validator", NPM)
def test_validators_of_npm_agree_with_the_app(validator: str, npm_results: dict[str, list[bool]]) -> None:
    """Ajv runs with `strict: true` and without plug-ins."""
    assert set(npm_results) == set(NPM)
    assert differences(npm_results[validator]) == []


def test_jsonschema_rs_agrees_with_the_app() -> None:
    validator = jsonschema_rs.validator_for(mail_message_schema())

    assert differences([validator.is_valid(message) for message in MESSAGES]) == []


def test_fastjsonschema_agrees_with_the_app() -> None:
    check = fastjsonschema.compile(mail_message_schema(), use_default=False)

    def accepts(message: Any) -> bool:
        try:
            check(message)
        except fastjsonschema.JsonSchemaValueException:
            return False
        return True

    assert differences([accepts(message) for message in MESSAGES]) == []


def test_njsonschema_for_net_agrees_with_the_app(njsonschema: Run) -> None:
    results = json.loads(njsonschema(mail_message_schema(), MESSAGES))

    # It reads numbers as draft 4 does, where 1.0 is no integer.
    assert differences(results) == [{"schemaVersion": 1.0}]
