from datetime import UTC, datetime

import pytest

from tests.local_stack.host.routes import Route
from tests.local_stack.host.schedules import Schedule
from tests.local_stack.host.settings import HostSettingError, parse_time_span
from tests.local_stack.host.storage import message_bodies
from tests.local_stack.host.worker import Function, TypedData

GUID = "3f5a1c1e-7d0b-4e59-9d2a-6f1f5f2f7b11"


def route(template: str, methods: list[str] | None = None) -> Route:
    trigger = {"type": "httpTrigger", "route": template, "methods": methods}
    return Route(Function("name", "id", (trigger,)), "api")


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("a/{id}", "/api/a/1", {"id": "1"}),
        ("a/{id}", "/api/a/1/2", None),
        ("a/{id?}", "/api/a", {}),
        ("a/{*rest}", "/api/a/1/2", {"rest": "1/2"}),
        (
            "a/{id:guid}",
            "/api/a/3f5a1c1e-7d0b-4e59-9d2a-6f1f5f2f7b11",
            {"id": "3f5a1c1e-7d0b-4e59-9d2a-6f1f5f2f7b11"},
        ),
        ("a/{id:guid}", "/api/a/no", None),
        ("a/{id:int:range(1,5)}", "/api/a/5", {"id": "5"}),
        ("a/{id:int:range(1,5)}", "/api/a/6", None),
        ("a/{id:length(2)}", "/api/a/abc", None),
        ("a/{id:regex(^x)}", "/api/a/xyz", {"id": "xyz"}),
    ],
)
def test_a_route_template_takes_what_it_describes(
    template: str, path: str, values: dict[str, str] | None
) -> None:
    assert route(template).match("GET", path) == values


@pytest.mark.parametrize("template", ["a/{id:unknown}", "a/{broken"])
def test_a_template_that_is_not_covered_is_refused(template: str) -> None:
    with pytest.raises(HostSettingError):
        route(template)


@pytest.mark.parametrize(
    ("schedule", "after", "due"),
    [
        ("0 */5 * * * *", "2026-11-22T11:18:00", "2026-11-22T11:20:00"),
        ("0 0 3 * * *", "2026-11-22T03:00:00", "2026-11-23T03:00:00"),
        ("30 15 6 * * MON-FRI", "2026-11-21T00:00:00", "2026-11-23T06:15:30"),
        ("0 0 0 29 2 *", "2026-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 0 13 * 5", "2026-11-22T00:00:00", "2027-08-13T00:00:00"),
        ("0 10/20 * * JAN,feb *", "2026-11-22T00:00:00", "2027-01-01T00:10:00"),
        ("5,10 0 0 * * 0", "2026-11-22T00:00:05", "2026-11-22T00:00:10"),
    ],
)
def test_a_schedule_finds_its_next_time(schedule: str, after: str, due: str) -> None:
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)

    assert Schedule.parse(schedule).next_after(moment) == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "schedule",
    [
        "* * * * *",
        "60 * * * * *",
        "* * * * * 7",
        "0 0 0 0 * *",
        "*/0 * * * * *",
        "0 0 0 * * XXX",
        "5-1 * * * * *",
    ],
)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(HostSettingError):
        Schedule.parse(schedule)


def test_a_schedule_that_never_comes_is_refused() -> None:
    with pytest.raises(HostSettingError, match="never comes"):
        Schedule.parse("0 0 0 30 2 *").next_after(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:00:30", 30), ("1.02:00:00", 93_600), ("365", 31_536_000), ("00:00:00.5", 0.5)]
)
def test_a_time_span_is_read_as_dotnet_does(text: str, seconds: float) -> None:
    assert parse_time_span(text).total_seconds() == seconds


def test_text_in_brackets_that_is_no_json_fails_the_output() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        message_bodies(TypedData(string="{no json}"))
