from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.local_stack.host.backoff import Backoff
from tests.local_stack.host.messages import Function, TypedData
from tests.local_stack.host.routes import Route
from tests.local_stack.host.schedules import Schedule
from tests.local_stack.host.settings import HostSettingError, HostSettings, parse_time_span
from tests.local_stack.host.storage import message_bodies
from tests.local_stack.host.uris import normal_path, parse_query, path_to_uri, unescape

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


@pytest.mark.parametrize(
    ("constraint", "fitting", "failing"),
    [
        ("int", ("7", "+7", "-7", " 7", "2147483647"), ("x", "7.0", "2147483648", "99999999999", "\uff17")),
        ("long", ("9223372036854775807",), ("9223372036854775808",)),
        ("bool", ("true", "FALSE"), ("1", "yes")),
        ("double", ("1.5", ".5", "-1e3"), ("1,5", "e3")),
        (
            "guid",
            (GUID, GUID.upper(), GUID.replace("-", ""), f"{{{GUID}}}", f"({GUID})"),
            (GUID[:-1], GUID.replace("-", "", 1), f"{{{GUID}", f"({GUID}}}"),
        ),
        ("alpha", ("abc",), ("a1",)),
    ],
)
def test_a_constraint_takes_what_dotnet_parses(
    constraint: str, fitting: tuple[str, ...], failing: tuple[str, ...]
) -> None:
    template = route(f"a/{{id:{constraint}}}")

    assert [value for value in fitting if template.match("GET", f"/api/a/{value}") is None] == []
    assert [value for value in failing if template.match("GET", f"/api/a/{value}") is not None] == []


@pytest.mark.parametrize("path", ["/api/a/1/", "/API/A/1"])
def test_case_and_one_slash_at_the_end_of_a_path_do_not_count(path: str) -> None:
    assert route("a/{id}").match("GET", path) == {"id": "1"}


@pytest.mark.parametrize("path", ["//api/a/1", "/api//a/1", "/api/a/1//"])
def test_an_empty_segment_fits_no_route(path: str) -> None:
    assert route("a/{id}").match("GET", path) is None


def test_text_is_tried_before_constraints_and_these_before_free_values() -> None:
    templates = ["a/{*rest}", "a/{id}", "a/{id:int}", "a/b", "a/{x}/c", "a/b/{y}"]

    by_precedence = sorted(templates, key=lambda template: route(template).precedence)

    assert by_precedence == ["a/b", "a/b/{y}", "a/{id:int}", "a/{id}", "a/{x}/c", "a/{*rest}"]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a%20b", "/a b"),
        ("/a%2Fb%2fc", "/a%2Fb%2fc"),
        ("/%C3%BC/%FF%ff", "/ü/%FF%ff"),
        ("/%41%FF%42", "/A%FFB"),
        ("/a/./b/../c", "/a/c"),
        ("/a/%2E%2e", "/"),
        ("/a/%2e", "/a/"),
        ("/../../a", "/a"),
        ("/a//b", "/a//b"),
        ("/a+b", "/a+b"),
    ],
)
def test_a_path_is_decoded_and_its_dots_are_resolved(target: str, path: str) -> None:
    assert normal_path(target) == path


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/a b", "/a%20b"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a%b", "/a%25b"),
        ("/ü~:@", "/%C3%BC~:@"),
        ("/a?#", "/a%3F%23"),
    ],
)
def test_a_path_is_encoded_again_for_the_functions_url(path: str, uri: str) -> None:
    assert path_to_uri(path) == uri


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("a=1&A=2&b=3", {"A": "1,2", "b": "3"}),
        ("a=&b&=1", {"": "1"}),
        ("a=b+c%2Bd&&e=f=g", {"a": "b c+d", "e": "f=g"}),
        ("a=%FF;b=1", {"a": "%FF;b=1"}),
        ("", {}),
    ],
)
def test_a_query_is_read_regardless_of_the_case_of_its_names(text: str, query: dict[str, str]) -> None:
    assert parse_query(text) == query


def test_text_that_stays_encoded_keeps_its_spelling() -> None:
    assert unescape("%2f%2F%41", keep="/") == "%2f%2FA"


def test_polling_delays_of_an_idle_queue_grow_to_a_maximum_and_then_reset() -> None:
    backoff = Backoff(2.0)
    first = backoff.next_delay()
    grown = [backoff.next_delay() for _ in range(10)]
    backoff.reset()
    after = [backoff.next_delay() for _ in range(3)]

    assert first == 0.1
    # A pause doubles, give or take 20 per cent; only one that reached the maximum does not raise the next.
    doubled = [0.1 * 2**exponent for exponent in range(5)]
    assert all(
        0.1 + 0.8 * step <= pause <= 0.1 + 1.2 * step for step, pause in zip(doubled[:4], grown, strict=False)
    )
    assert all(0.1 + 0.8 * doubled[4] <= pause <= 2.0 for pause in grown[4:])
    assert after[0] == 0.1
    assert 0.18 <= after[1] <= 0.22
    assert 0.26 <= after[2] <= 0.34


def test_the_environment_changes_host_json_regardless_of_case(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text(
        '{"version": "2.0", "functionTimeout": "00:10:00", "extensions": {"queues": {"batchSize": 1}}}'
    )
    changes = {
        "AzureFunctionsJobHost__FunctionTimeout": "00:00:05",
        "AZUREFUNCTIONSJOBHOST__extensions__Queues__batchSize": "4",
        "AzureFunctionsJobHost__extensions__queues__messageEncoding": "none",
        "AzureFunctionsJobHost__logging__logLevel__Host.Function.Console": "Information",
        "AzureFunctionsJobHost__extensions__http__hsts__isEnabled": "true",
    }

    settings = HostSettings.read(tmp_path, changes)

    assert settings.timeout == 5.0
    assert (settings.queues.batch_size, settings.queues.base64) == (4, False)
    assert settings.log_levels == {"Host.Function.Console": "Information"}
    assert settings.hsts == "max-age=2592000"


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


def test_a_schedule_that_never_fires_is_refused() -> None:
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
