import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.telemetry import Event, log_event, log_failure, quieten_libraries
from tests.cpu import grows_linearly

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
#: Values that would look like an event, end the line or the JSON, or be taken for a secret.
HOSTILE = [
    'x"} consent_lost {"tenant_id": "y"}',
    "consent_lost {",
    "line\nconsent_lost {}",
    "line\r\nmail_poisoned {}",
    "line\u2028consent_lost {}\u2029\u0085",
    "Bearer bonds",
    'Bearer "',
    'password": "',
    "code=\\",
    "\ud800 alone",
    "ada@contoso.com",
    "…" * 1000,
]


class Lines(logging.Handler):
    """A handler that stores log lines as the Functions host gets them."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler, logger = Lines(), logging.getLogger("mailer")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.setLevel(before)
    logger.removeHandler(handler)


def fields_of(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text.partition(" ")[2])
    return found


def test_an_event_is_its_name_and_its_fields_as_json(lines: Lines) -> None:
    log_event(
        Event.MAIL_ACCEPTED,
        message_id="sales:1",
        attempt=2,
        stored=True,
        problem=None,
        at=datetime(2026, 11, 23, tzinfo=UTC),
    )

    assert lines.texts[0].startswith("mail_accepted {")
    assert fields_of(lines.texts[0]) == {
        "message_id": "sales:1",
        "attempt": 2,
        "stored": True,
        "at": "2026-11-23 00:00:00+00:00",
    }


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", ["correlation_id", "message_id", "operation"])
def test_a_hostile_value_stays_inside_its_field(lines: Lines, name: str, value: str) -> None:
    fields: dict[str, Any] = {name: value}
    log_event(Event.MAIL_ACCEPTED, **fields, attempt=2)

    [text] = lines.texts
    assert set(fields_of(text)) == {name, "attempt"}
    assert (text.count("{"), text.count("}")) == (1, 1)
    assert text.isascii()
    assert text.isprintable()


@given(st.dictionaries(st.sampled_from(["correlation_id", "message_id", "was"]), st.text(max_size=500)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_event_is_one_line_that_can_be_read(lines: Lines, fields: dict[str, Any]) -> None:
    log_event(Event.MAIL_DEFERRED, **fields)

    text = lines.texts.pop()
    assert set(fields_of(text)) == set(fields)
    assert (text.count("{"), text.count("}"), text.isprintable()) == (1, 1, True)


@pytest.mark.parametrize(
    "message_id",
    [
        "sales-by-state:2026-11-23T06:00Z:emea",
        "reports:code:4711",
        "password:reset-2026",
        "token:eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ",
        "S3oZqd0rWc6xV2uM8yKfL1tP5nHgJ7bA9eRiYkXwQmE",
    ],
)
def test_an_id_is_logged_as_it_is_so_that_two_mails_never_share_a_name(lines: Lines, message_id: str) -> None:
    log_event(Event.MAIL_DEFERRED, message_id=message_id)

    assert fields_of(lines.texts[0]) == {"message_id": message_id}


def test_an_id_with_other_letters_is_redacted_like_any_text(lines: Lines) -> None:
    log_event(Event.MAIL_DEFERRED, message_id="code=secret", flow_id="ada@contoso.com", tenant_id="x" * 999)

    assert fields_of(lines.texts[0]) == {
        "message_id": "code=[redacted]",
        "flow_id": "…@contoso.com",
        "tenant_id": "x" * 300 + "…",
    }


def test_a_text_is_redacted_before_it_is_cut(lines: Lines) -> None:
    log_event(Event.MAIL_DEFERRED, reason=f"{'x ' * 140}code=abcdefghijklmnopqrstuvwxyz0123456789")

    assert "abc" not in lines.texts[0]


@pytest.mark.parametrize("value", ["a" * 1_000_000, "{" * 1_000_000, "é\n" * 500_000])
def test_no_field_is_longer_than_300_characters(lines: Lines, value: str) -> None:
    log_event(Event.REQUEST_FAILED, problem=value, operation=value, anything=value)

    assert {len(each) for each in fields_of(lines.texts[0]).values()} == {301}


def test_a_long_field_costs_no_more_than_its_length() -> None:
    grows_linearly(
        lambda text: log_event(Event.REQUEST_FAILED, level=logging.DEBUG, anything=text), "eyJ".__mul__
    )


def test_a_failure_is_one_line_with_its_trace_and_without_secrets(lines: Lines) -> None:
    try:
        raise ValueError(f"state=abc.{TOKEN}\nconsent_lost {{}}")  # noqa: TRY301 - the text is the point
    except ValueError as error:
        log_failure(error, operation="finish_consent")

    [text] = lines.texts
    assert text.startswith("unexpected_error {")
    assert text.isprintable()
    assert fields_of(text)["operation"] == "finish_consent"
    assert "test_telemetry.py" in fields_of(text)["trace"]
    assert "ValueError" in text
    assert TOKEN not in text


def test_of_a_long_trace_the_start_and_the_end_are_left(lines: Lines) -> None:
    try:
        raise ValueError("first cause" + "x " * 50_000 + "last words")  # noqa: TRY301 - the text is the point
    except ValueError as error:
        log_failure(error)

    trace = fields_of(lines.texts[0])["trace"]
    assert len(trace) == 8001
    assert trace.startswith("Traceback")
    assert "first cause" in trace
    assert trace.endswith("last words\n")


def test_sdks_do_not_log_their_requests() -> None:
    quieten_libraries()

    assert not logging.getLogger("azure.core.pipeline").isEnabledFor(logging.INFO)


def test_the_host_exports_every_event_in_classic_mode_without_sampling() -> None:
    """OpenTelemetry in `telemetryMode` lost most events of failed calls.

    Measured: docs/decisions/telemetry.md.
    """
    host = json.loads((Path(__file__).parents[1] / "host.json").read_text("utf-8"))

    assert "telemetryMode" not in host
    assert host["logging"]["applicationInsights"]["samplingSettings"] == {"isEnabled": False}
    levels = host["logging"]["logLevel"]
    assert (levels["Function"], levels["Host.Results"]) == ("Information", "Information")
    # Prints of the worker: the trace of an app that cannot be loaded is among them.
    assert levels["Host.Function.Console"] == "Information"
    assert levels["Azure.Core"] == "Error"


def test_the_host_records_no_path_of_a_call() -> None:
    """Anybody can send a path of 8 KB, which would cost log volume.

    The names of functions are short.
    """
    host = json.loads((Path(__file__).parents[1] / "host.json").read_text("utf-8"))

    collected = host["logging"]["applicationInsights"]["httpAutoCollectionOptions"]
    assert collected == {"enableHttpTriggerExtendedInfoCollection": False}
