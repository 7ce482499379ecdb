from typing import Any

import pytest

from shared.api.limits import check_body_arrived, check_size, read_query
from shared.api.openapi.document import OPERATIONS
from shared.api.openapi.operation import Operation
from shared.api.request import MAX_BODY_BYTES, MAX_FIELDS
from shared.errors import InvalidInputError, LengthRequiredError, PayloadTooLargeError
from tests.api.conftest import Api
from tests.cpu import grows_linearly

BY_NAME = {operation.name: operation for operation in OPERATIONS}
ENABLE = BY_NAME["enable_sending"]
LIST = BY_NAME["list_deliveries"]
CALLBACK = BY_NAME["finish_admin_consent"]
WITH_BODY = [operation for operation in OPERATIONS if operation.takes_body]
ANNOUNCED = [
    {"transfer-encoding": "chunked"},
    {"transfer-encoding": "chunked", "content-type": "application/json"},
    {"content-type": "application/json"},
    {"transfer-encoding": "gzip, chunked", "content-length": "7"},
]
NOT_ANNOUNCED = [{}, {"content-length": "0"}, {"content-type": "application/json", "content-length": "0"}]


def problems_of(operation: Operation, text: str) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as refused:
        read_query(operation, text)
    assert refused.value.code == "invalid_request"
    return {error.field: error.message for error in refused.value.fields}


def test_a_body_of_64_kb_is_read_and_a_longer_one_is_not() -> None:
    check_size(ENABLE, "", b"x" * 65536)

    with pytest.raises(PayloadTooLargeError) as refused:
        check_size(ENABLE, "", b"x" * 65537)
    assert "at most 65536 bytes" in refused.value.problem.detail


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_no_operation_reads_more_than_64_kb_but_that_of_many_ids(operation: Operation, api: Api) -> None:
    many_ids = 2 if operation.name == "retry_deliveries" else 1
    assert operation.max_body_bytes == many_ids * MAX_BODY_BYTES

    response = api.call(operation.name, method=operation.method, body=b"a&" * 500_000)

    assert response.status_code == 413


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_no_operation_parses_more_than_50_fields_of_a_query(operation: Operation, api: Api) -> None:
    assert operation.max_fields <= MAX_FIELDS

    response = api.call(operation.name, method=operation.method, query="a=1&" * 50 + "b")

    assert response.status_code == 413


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.form], ids=lambda each: each.name)
def test_no_operation_parses_more_than_50_fields_of_a_form(operation: Operation, api: Api) -> None:
    route = {"flow_id": "00000000-0000-4000-8000-000000000001"}
    most = api.call(operation.name, method="POST", body=b"a=1&" * 49 + b"b=2", caller=None, route=route)
    more = api.call(operation.name, method="POST", body=b"a=1&" * 50 + b"b=2", caller=None, route=route)

    assert most.status_code in {200, 303}
    assert more.status_code == 413


@pytest.mark.parametrize("headers", ANNOUNCED, ids=str)
@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)
def test_an_announced_body_that_arrives_empty_is_refused(
    operation: Operation, headers: dict[str, str]
) -> None:
    with pytest.raises(LengthRequiredError):
        check_body_arrived(operation, headers, b"")


@pytest.mark.parametrize("headers", NOT_ANNOUNCED, ids=str)
def test_no_body_is_fine_where_none_was_announced(headers: dict[str, str]) -> None:
    check_body_arrived(BY_NAME["send_test_mail"], headers, b"")


@pytest.mark.parametrize("headers", ANNOUNCED, ids=str)
def test_a_body_that_arrived_is_read_regardless_of_the_headers(headers: dict[str, str]) -> None:
    check_body_arrived(ENABLE, headers, b"{}")


@pytest.mark.parametrize("headers", ANNOUNCED, ids=str)
def test_an_operation_without_a_body_ignores_the_announcement(headers: dict[str, str]) -> None:
    check_body_arrived(BY_NAME["reset_tenant_settings"], headers, b"")


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)
def test_a_chunked_request_gets_411_and_nothing_happens(operation: Operation, api: Api) -> None:
    headers = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}

    response = api.call(operation.name, method=operation.method, headers=headers)

    assert response.status_code == 411
    assert api.ports.outbox.messages == []
    assert api.ports.settings.rows == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("status=accepted&limit=5", {"status": "accepted", "limit": "5"}),
        ("STATUS=accepted&Limit=5", {"status": "accepted", "limit": "5"}),
        ("continuationtoken=a%20b", {"continuationToken": "a b"}),
        ("status=&limit=5", {"limit": "5"}),
        ("limit=5#limit=6", {"limit": "5#limit=6"}),
    ],
)
def test_the_names_of_parameters_count_without_regard_to_case(text: str, found: dict[str, str]) -> None:
    assert read_query(LIST, text) == found


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("limit=5&limit=6", {"limit": "is given more than once"}),
        ("limit=5&LIMIT=5", {"limit": "is given more than once"}),
        ("limit=&limit=5", {"limit": "is given more than once"}),
        ("statsu=accepted", {"statsu": "is not a parameter of this operation"}),
        ("x=1&Y", {"x": "is not a parameter of this operation", "Y": "is not a parameter of this operation"}),
    ],
)
def test_a_repeated_or_unknown_parameter_of_a_signed_in_caller_is_an_error(
    text: str, named: dict[str, str]
) -> None:
    assert problems_of(LIST, text) == named


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.admin], ids=lambda each: each.name)
def test_every_operation_of_an_admin_refuses_an_unknown_parameter(operation: Operation, api: Api) -> None:
    response = api.call(operation.name, method=operation.method, query="utm_source=mail", body={})

    assert response.status_code == 400
    assert api.ports.settings.rows == {}


def test_an_anonymous_caller_may_send_what_we_do_not_know() -> None:
    query = "state=abc&session_state=1&admin_consent=True&state=def&error="

    assert read_query(CALLBACK, query) == {"state": "abc", "admin_consent": "True"}


def test_the_query_of_the_url_counts_and_not_the_one_parsed_by_the_host(api: Api) -> None:
    response = api.call("list_deliveries", query="limit=1&limit=2")

    assert response.status_code == 400


ADVERSARIAL: dict[str, Any] = {
    "many names": lambda size: "a&" * (size // 2),
    "one long name": lambda size: "a" * size,
    "many percents": lambda size: "%" * size,
    "one name repeated": lambda size: "limit=1&" * (size // 8),
}


@pytest.mark.parametrize("shape", ADVERSARIAL)
def test_a_hostile_query_costs_no_more_than_its_length(shape: str) -> None:
    def read(text: str) -> None:
        with pytest.raises(InvalidInputError) as refused:
            read_query(LIST, text)
        assert len(refused.value.fields) <= 21

    grows_linearly(read, ADVERSARIAL[shape])
