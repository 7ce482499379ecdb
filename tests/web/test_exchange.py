import pytest

from shared.web.exchange import empty_reply, json_reply
from tests.calls import a_request


def test_of_a_name_that_comes_twice_in_a_form_the_first_counts() -> None:
    assert a_request(b"state=a&state=b&code=c%20d&empty=").form() == {
        "state": "a",
        "code": "c d",
        "empty": "",
    }


def test_bytes_that_are_no_text_are_no_reason_to_break() -> None:
    assert a_request(b"state=\xff\xfe&code=%ff").form()["state"]
    assert a_request(b"").form() == {}


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("__Host-consent=abc", "abc"),
        ("a=1; __Host-consent=abc=; b=2", "abc="),
        ("x__Host-consent=abc", None),
        ("", None),
    ],
)
def test_a_cookie_is_found_by_its_whole_name(header: str, value: str | None) -> None:
    assert a_request(headers={"cookie": header}).cookie("__Host-consent") == value


def test_without_cookies_there_is_none() -> None:
    assert a_request().cookie("__Host-consent") is None


def test_no_answer_may_be_kept() -> None:
    assert json_reply(200, {"a": 1}).headers["Cache-Control"] == "no-store"
    assert empty_reply(204).headers["Cache-Control"] == "no-store"
