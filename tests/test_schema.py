import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInputError
from shared.mail.message import parse_mail_request
from shared.schema import Contract, parse, read_json
from tests.builders import a_message


class Report(Contract):
    report_name: str
    pages: int = 1


def broken(text: bytes) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as refused:
        parse(Report, text, "invalid_request")
    return {error.field: error.message for error in refused.value.fields}


def test_names_on_the_wire_are_in_camel_case() -> None:
    report = parse(Report, b'{"reportName": "sales", "pages": 3}', "invalid_request")

    assert report == Report(report_name="sales", pages=3)
    assert report.model_dump_json(by_alias=True) == '{"reportName":"sales","pages":3}'


def test_an_unknown_member_is_an_error() -> None:
    assert broken(b'{"reportName": "s", "from": "x"}') == {"from": "is not a known member"}


def test_an_optional_member_that_is_null_counts_as_left_out() -> None:
    report = parse(Report, b'{"reportName": "sales", "pages": null}', "invalid_request")

    assert report.pages == 1


def test_null_is_invalid_for_a_required_member_and_hides_no_unknown_one() -> None:
    assert broken(b'{"reportName": null, "from": null, "report_name": null}') == {
        "reportName": "is not a string",
        "from": "is not a known member",
        "report_name": "is not a known member",
    }


def test_every_invalid_field_is_named() -> None:
    assert set(broken(b'{"pages": "many", "x": 1}')) == {"reportName", "pages", "x"}


def test_invalid_json_is_an_error_of_the_whole_body() -> None:
    assert list(broken(b"<report/>")) == ["(whole body)"]


def test_the_value_of_an_invalid_field_is_not_repeated() -> None:
    assert "hunter2" not in str(broken(b'{"reportName": "s", "pages": "hunter2"}'))


def test_of_many_invalid_fields_the_first_are_named_and_the_others_counted() -> None:
    fields = broken(b"{" + b",".join(b'"%d%s": 1' % (number, b"x" * 300) for number in range(500)) + b"}")

    assert len(fields) == 21
    assert fields["(whole body)"] == "has 481 more broken fields"
    assert max(len(field) for field in fields) == 200


def test_a_wrong_name_of_a_member_is_shown_without_the_librarys_mark() -> None:
    with pytest.raises(InvalidInputError) as raised:
        parse_mail_request(a_message(headers={"Subject": "a"}))

    assert [field.field for field in raised.value.fields] == ["headers.Subject"]


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_json_in_utf_8_is_read_with_or_without_a_byte_order_mark(value: Any, mark: bytes) -> None:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")

    assert read_json(mark + text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        ("{}".encode("utf-16"), "is text in UTF-16, not JSON in UTF-8"),
        ("{}".encode("utf-16-be"), "is text in UTF-16, not JSON in UTF-8"),
        ("{}".encode("utf-16-le"), "is text in UTF-16, not JSON in UTF-8"),
        ("{}".encode("utf-32-be"), "is text in UTF-32, not JSON in UTF-8"),
        ("{}".encode("utf-32-le"), "is text in UTF-32, not JSON in UTF-8"),
        ("{}".encode("utf-32"), "is text in UTF-32, not JSON in UTF-8"),
        (gzip.compress(b"{}", mtime=0), "is compressed data (gzip), not JSON in UTF-8"),
        (b"PK\x03\x04", "is a zip archive, not JSON in UTF-8"),
        (
            '{"a": "größe"}'.encode("latin-1"),
            "is text in another encoding than UTF-8, not JSON in UTF-8",
        ),
        (b"<report/>", "is not valid JSON (line 1, column 1)"),
        (b'{"a": 1,\n}', "is not valid JSON (line 2, column 1)"),
        (b"{} {}", "is not valid JSON (line 1, column 4)"),
    ],
)
def test_what_is_no_json_is_named(text: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=r"^is ") as refused:
        read_json(text)

    assert str(refused.value) == said
