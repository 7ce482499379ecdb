"""Schemas, parsers and validators agree over many made-up values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.interop import HERE
from tests.interop.conftest import run
from tests.interop.test_validators import NPM
from tests.schema_differences import disagreement
from tests.test_schema_differences import BODIES, MAIL, MAIL_VALIDATOR, messages, values

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.conftest import Run

#: Different ones in each run; a failure prints the value as it was found, since shrinking takes minutes.
LONG = settings(
    max_examples=2000,
    phases=(Phase.generate,),
    derandomize=False,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(900)
@given(messages())
@LONG
def test_the_mail_schema_takes_what_the_app_takes(message: Any) -> None:
    assert disagreement(MAIL, MAIL_VALIDATOR, message) is None, json.dumps(message)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", BODIES)
def test_the_openapi_document_takes_the_bodies_that_the_app_takes(name: str) -> None:
    published = BODIES[name]
    validator = jsonschema_rs.validator_for(published.schema)

    @given(values(published))
    @settings(LONG, max_examples=500)
    def check(body: Any) -> None:
        assert disagreement(published, validator, body) is None, json.dumps(body)

    check()


@pytest.fixture(scope="module")
def generated_messages() -> list[Any]:
    """Make messages for the validators that check a whole list at once."""
    found: list[Any] = []

    @given(messages())
    @settings(LONG, max_examples=400)
    def collect(message: Any) -> None:
        found.append(message)

    collect()
    return found


def differing_results(generated_messages: list[Any], results: list[bool]) -> list[str]:
    """Return the messages on which a validator and jsonschema-rs differ."""
    pairs = zip(generated_messages, results, strict=True)
    return [json.dumps(message) for message, fits in pairs if fits is not MAIL_VALIDATOR.is_valid(message)]


@pytest.mark.timeout(900)
def test_the_validators_of_npm_agree_with_each_other(npm: Path, generated_messages: list[Any]) -> None:
    validator_input = json.dumps({"schema": MAIL.schema, "values": generated_messages})
    results = json.loads(run("node", HERE / "validators.mjs", text=validator_input))

    assert set(results) == set(NPM)
    assert {name: differing_results(generated_messages, results[name]) for name in NPM} == {
        name: [] for name in NPM
    }


@pytest.mark.timeout(900)
def test_njsonschema_for_net_agrees_with_them(njsonschema: Run, generated_messages: list[Any]) -> None:
    # It reads numbers as draft 4 does, where 1.0 is no integer.
    same = [message for message in generated_messages if not isinstance(message.get("schemaVersion"), float)]

    assert differing_results(same, json.loads(njsonschema(MAIL.schema, same))) == []
