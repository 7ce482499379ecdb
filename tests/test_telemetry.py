import json
import logging
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry import Event, log_event, log_failure, quieten_libraries, redact

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
OPAQUE = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", min_size=20, max_size=80)


def test_an_event_is_its_name_and_its_fields_as_json(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mailer"):
        log_event(
            Event.MAIL_ACCEPTED,
            message_id="sales:1",
            attempt=2,
            problem=None,
            at=datetime(2026, 11, 23, tzinfo=UTC),
        )

    name, _, fields = caplog.messages[0].partition(" ")
    assert name == "mail_accepted"
    assert json.loads(fields) == {"message_id": "sales:1", "attempt": 2, "at": "2026-11-23 00:00:00+00:00"}


@given(
    OPAQUE, st.sampled_from(["client_secret=", "code=", '"refresh_token": "', "Bearer ", "state=", "sig="])
)
def test_a_secret_behind_its_name_is_taken_out(secret: str, name: str) -> None:
    assert secret not in redact(f"failed with {name}{secret} at once")


def test_a_token_is_taken_out_wherever_it_stands() -> None:
    assert TOKEN not in redact(f"url: /upload/{TOKEN}?x=1")


def test_of_an_address_only_the_domain_is_left() -> None:
    assert redact("to cfo@contoso.com, please") == "to …@contoso.com, please"


def test_an_ordinary_text_stays_as_it_is() -> None:
    text = '{"status": "deferred", "message_id": "sales-weekly:2026-11-23T06:00Z:emea", "attempt": 2}'

    assert redact(text) == text


def test_a_failure_is_logged_with_its_trace_and_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError(f"state=abc.{TOKEN}")  # noqa: TRY301 - the text is the point
    except ValueError as error:
        log_failure(error, path="/api/consent/callback")

    assert caplog.messages[0].startswith('unexpected_error {"path": "/api/consent/callback"}')
    assert "test_telemetry.py" in caplog.messages[0]
    assert TOKEN not in caplog.messages[0]


def test_sdks_do_not_log_their_requests() -> None:
    quieten_libraries()

    assert not logging.getLogger("azure.core.pipeline").isEnabledFor(logging.INFO)
