"""The time that a response asks the client to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.retry_after import requested_wait, retry_after
from tests.fakes import NOON

#: No date: Python cannot compute with the offset.
FAR_ZONE = "Mon, 23 Nov 2026 12:00:00 +99999999999999"


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
        ("5, 120", 120),
        ("120,120", 120),
    ],
)
def test_a_wait_is_read_as_seconds_or_as_a_date(text: str, seconds: float) -> None:
    assert retry_after(text, NOON) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", [None, "", "soon", "nan", "5, soon", "Mon, 99 Nov 2026 12:00:00 GMT", FAR_ZONE]
)
def test_a_wait_that_cannot_be_read_is_none(text: str | None) -> None:
    assert retry_after(text, NOON) is None


@given(st.text() | st.floats().map(str) | st.integers().map(str))
def test_no_wait_is_negative_or_for_ever(text: str) -> None:
    wait = retry_after(text, NOON)

    assert wait is None or timedelta(0) <= wait <= timedelta(hours=6)


def test_a_date_without_a_zone_is_in_utc() -> None:
    assert retry_after("Mon, 23 Nov 2026 12:00:05", datetime(2026, 11, 23, 12, tzinfo=UTC)) == timedelta(
        seconds=5
    )


@pytest.mark.parametrize("ahead", [timedelta(days=-400), timedelta(0), timedelta(hours=10)])
def test_a_date_is_judged_by_the_clock_of_the_response(ahead: timedelta) -> None:
    """The clock of this host can be wrong by hours."""
    there = datetime.now(UTC) + ahead
    headers = {
        "Date": format_datetime(there, usegmt=True),
        "Retry-After": format_datetime(there + timedelta(seconds=90), usegmt=True),
    }

    assert requested_wait(headers) == timedelta(seconds=90)


@pytest.mark.parametrize("headers", [{}, {"Date": "noon"}, {"Date": FAR_ZONE}])
def test_without_a_time_of_the_response_the_clock_of_this_host_counts(headers: dict[str, str]) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    wait = requested_wait({**headers, "Retry-After": until})

    assert wait is not None
    assert timedelta(minutes=9) < wait <= timedelta(minutes=10)


def test_a_response_without_the_header_requests_no_wait() -> None:
    assert requested_wait({}) is None
