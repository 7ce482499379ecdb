import pytest

from shared.errors import PayloadTooLargeError
from tests.api_client import a_request


def test_of_a_repeated_form_field_the_first_counts() -> None:
    assert a_request(b"state=a&state=b&code=c%20d&empty=").form() == {
        "state": "a",
        "code": "c d",
        "empty": "",
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"state=" + b"a" * 65_531, "request_too_large"), (b"a=1&" * 50 + b"b=2", "too_many_fields")],
)
def test_a_form_has_limits_of_its_own(body: bytes, code: str) -> None:
    with pytest.raises(PayloadTooLargeError) as refused:
        a_request(body).form()

    assert refused.value.code == code


def test_bytes_that_are_no_text_are_no_reason_to_break() -> None:
    assert a_request(b"state=\xff\xfe&code=%ff").form()["state"]
    assert a_request(b"").form() == {}


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("__Secure-a=abc", ("abc",)),
        ("a=1; __Secure-a=abc=; b=2", ("abc=",)),
        ("\t__Secure-a \t=\t abc ;b=2", ("abc",)),
        ("x__Secure-a=abc; __secure-a=1", ()),
        ("__Secure-a", ()),
        ("", ()),
    ],
)
def test_a_cookie_is_found_by_its_whole_name(header: str, values: tuple[str, ...]) -> None:
    assert a_request(headers={"cookie": header}).cookies("__Secure-a") == values


@pytest.mark.parametrize("blank", ["\u2000", "\u00a0", "\x0b", "\x0c", "\x85", "\u3000"])
def test_only_space_and_tab_are_trimmed_from_a_cookie(blank: str) -> None:
    assert a_request(headers={"cookie": f"a=1;{blank}__Secure-a=abc"}).cookies("__Secure-a") == ()
    assert a_request(headers={"cookie": f"__Secure-a=abc{blank}"}).cookies("__Secure-a") == (f"abc{blank}",)


def test_cookie_headers_that_the_host_joined_with_a_comma_are_parted() -> None:
    assert a_request(headers={"cookie": "a=1,__Secure-a=abc"}).cookies("__Secure-a") == ("abc",)


def test_every_cookie_of_one_name_is_returned() -> None:
    header = "__Secure-a=1; b=2; __Secure-a=3,__Secure-a="

    assert a_request(headers={"cookie": header}).cookies("__Secure-a") == ("1", "3", "")


def test_without_cookies_there_is_none() -> None:
    assert a_request().cookies("__Secure-a") == ()
