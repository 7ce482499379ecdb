"""From Graph's answers to our errors; the answers are read as they come, whatever they are."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.graph_errors import graph_codes, graph_error, retry_after
from shared.errors import ConsentRequiredError, OutcomeUnknownError, RejectedError, TransientError
from tests.exchange_online import a_sender
from tests.fakes import NOON


def an_answer(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = body
    response.headers.update(headers or {})
    return response


def coded(status: int, code: str) -> requests.Response:
    return an_answer(status, json.dumps({"error": {"code": code, "message": "secret text"}}).encode())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2.128", 2.128),
        ("10", 10),
        ("0", 0),
        ("-3", 0),
        (format_datetime(NOON + timedelta(seconds=90), usegmt=True), 90),
        ("Mon, 23 Nov 2026 12:01:30 -0000", 90),
        (format_datetime(NOON - timedelta(hours=1), usegmt=True), 0),
        ("1e9", 6 * 3600),
        ("inf", 6 * 3600),
    ],
)
def test_a_wait_is_read_as_seconds_or_as_a_date(text: str, seconds: float) -> None:
    assert retry_after(text, NOON) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", [None, "", "soon", "nan", "Mon, 99 Nov 2026 12:00:00 GMT"])
def test_a_wait_that_cannot_be_read_is_none(text: str | None) -> None:
    assert retry_after(text, NOON) is None


@given(st.text() | st.floats().map(str) | st.integers().map(str))
def test_no_wait_is_negative_or_for_ever(text: str) -> None:
    wait = retry_after(text, NOON)

    assert wait is None or timedelta(0) <= wait <= timedelta(hours=6)


@given(st.binary())
def test_any_body_can_be_looked_through_for_codes(body: bytes) -> None:
    assert isinstance(graph_codes(an_answer(400, body)), list)


JSON = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["error", "code", "innerError", "innererror"]), inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_can_be_looked_through_for_codes(body: object) -> None:
    codes = graph_codes(an_answer(400, json.dumps(body).encode()))

    assert all(code.replace("_", "").isalpha() for code in codes)


def test_the_innermost_code_comes_first() -> None:
    body = {
        "error": {
            "code": "UnknownError",
            "innererror": {"code": "generalException", "innerError": {"code": "ErrorSendAsDenied"}},
        }
    }

    assert graph_codes(an_answer(403, json.dumps(body).encode())) == [
        "ErrorSendAsDenied",
        "generalException",
        "UnknownError",
    ]


def test_the_code_decides_wherever_it_stands() -> None:
    body = {"error": {"code": "ErrorSendAsDenied", "innerError": {"code": "SomethingNew"}}}
    error = graph_error(an_answer(403, json.dumps(body).encode()), a_sender())

    assert (error.code, error.facts["graph_code"]) == ("send_as_denied", "ErrorSendAsDenied")


@pytest.mark.parametrize("body", [b"", b"<html>Bad request</html>", b'{"error": {"code": ""}}', b"[1]"])
def test_an_answer_without_a_code_is_judged_by_its_status(body: bytes) -> None:
    rejected = graph_error(an_answer(400, body), a_sender())
    throttled = graph_error(an_answer(429, body), a_sender())
    unknown = graph_error(an_answer(504, body), a_sender())
    refused = graph_error(an_answer(401, body), a_sender())

    assert isinstance(rejected, RejectedError)
    assert rejected.graph_code == "HTTP 400"
    assert isinstance(throttled, TransientError)
    assert isinstance(unknown, OutcomeUnknownError)
    assert isinstance(refused, ConsentRequiredError)


def test_microsofts_own_words_are_not_repeated() -> None:
    error = graph_error(coded(400, "ErrorSomethingNew"), a_sender())

    assert "secret text" not in str(error)
    assert error.facts["graph_code"] == "ErrorSomethingNew"


def test_graphs_id_of_the_answer_stands_first_in_the_log() -> None:
    error = graph_error(an_answer(429, headers={"request-id": "g-17"}), a_sender())

    assert str(error).startswith("g-17: ")


def test_a_date_without_a_zone_is_in_utc() -> None:
    assert retry_after("Mon, 23 Nov 2026 12:00:05", datetime(2026, 11, 23, 12, tzinfo=UTC)) == timedelta(
        seconds=5
    )
