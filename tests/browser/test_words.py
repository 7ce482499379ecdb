"""The page has a text for everything that the API can return."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from shared.deliveries import retry
from shared.deliveries.status import DeliveryStatus
from shared.problems import Actor
from shared.sending.diagnostics import CheckName, Outcome
from shared.settings.tenant import Authorization, Status
from tests.local_stack.frontend import SITE


def keys(file: Path, table: str) -> set[str]:
    """Read the keys of an object that a script declares."""
    found = re.search(rf"const {table} = {{\n(.*?)\n}};", file.read_text(), re.DOTALL)
    assert found, f"{file.name} declares no {table}"
    return set(re.findall(r"^  (\w+):", found[1], re.MULTILINE))


@pytest.mark.parametrize(
    ("file", "table", "said"),
    [
        ("words.js", "STATUSES", Status),
        ("words.js", "DELIVERIES", DeliveryStatus),
        ("words.js", "WHO_ACTS", Actor),
        ("connection.js", "AUTHORIZATIONS", Authorization),
        ("checks.js", "NAMES", CheckName),
        ("checks.js", "OUTCOMES", Outcome),
    ],
)
def test_every_value_that_the_api_may_give_has_its_words(file: str, table: str, said: type[StrEnum]) -> None:
    assert keys(SITE / file, table) == {value.value for value in said}


def test_a_retry_is_offered_for_exactly_the_states_that_the_api_retries() -> None:
    script = (SITE / "deliveries.js").read_text()
    offered = re.search(r"RETRIABLE = new Set\(\[(.*?)\]\)", script, re.DOTALL)
    assert offered

    assert set(re.findall(r'"(\w+)"', offered[1])) == {
        status.value for status in DeliveryStatus if status not in retry.REFUSAL_CODES
    }
