"""Unsubscribe headers by RFC 2369 and 8058, as mail programs read them."""

from __future__ import annotations

import pytest

from shared.errors import InvalidInputError
from shared.mail.message import parse_mail_request
from tests.builders import a_message

ONE_CLICK = "List-Unsubscribe=One-Click"


def broken(**changes: object) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as raised:
        parse_mail_request(a_message(**changes))
    return {field.field: field.message for field in raised.value.fields}


@pytest.mark.parametrize(
    "text",
    [
        "<https://contoso.com>",
        "<https://contoso.com:8443/leave/a,b?id=1&to=x%20y#top>",
        "<mailto:leave@contoso.com>",
        "<mailto:leave+42@contoso.com?subject=leave%20me>",
        "<https://contoso.com/leave>, <mailto:leave@contoso.com>",
        "<mailto:leave@contoso.com>,<https://contoso.com/leave>",
    ],
)
def test_https_and_mailto_addresses_in_angle_brackets_are_taken(text: str) -> None:
    assert parse_mail_request(a_message(listUnsubscribe=text)).list_unsubscribe == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://contoso.com/leave",
        "<http://contoso.com/leave>",
        "<https:///leave>",
        "<https://ada@contoso.com/leave>",
        "<https://contoso.com/a b>",
        "<https://contoso.com/%zz>",
        "<https://bücher.de/leave>",
        "<https://contoso.com/leave>;<mailto:leave@contoso.com>",
        "<https://contoso.com/leave> <mailto:leave@contoso.com>",
        "<https://contoso.com/leave>,",
        "<https://contoso.com/leave>\n",
        "<https://contoso.com/leave>\r\nBcc: x@contoso.com",
        "<mailto:contoso.com>",
        "<javascript:alert(1)>",
        "<tel:1>",
    ],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    (said,) = broken(listUnsubscribe=text).values()

    assert said.startswith("use https and mailto addresses in angle brackets")


def test_it_fits_into_one_line_of_a_header() -> None:
    assert broken(listUnsubscribe=f"<https://contoso.com/{'a' * 998}>") == {
        "listUnsubscribe": "is longer than 998 characters"
    }


def test_one_click_needs_an_https_address() -> None:
    said = {"listUnsubscribePost": "needs an https address in listUnsubscribe"}

    assert broken(listUnsubscribePost=ONE_CLICK) == said
    assert broken(listUnsubscribe="<mailto:a@contoso.com>", listUnsubscribePost=ONE_CLICK) == said
    taken = parse_mail_request(
        a_message(listUnsubscribe="<https://contoso.com/leave>", listUnsubscribePost=ONE_CLICK)
    )
    assert taken.list_unsubscribe_post == ONE_CLICK


@pytest.mark.parametrize("text", ["One-Click", "list-unsubscribe=one-click", True])
def test_one_click_has_one_spelling(text: object) -> None:
    (said,) = broken(listUnsubscribe="<https://a.de>", listUnsubscribePost=text).values()

    assert said == "use 'List-Unsubscribe=One-Click'"


@pytest.mark.parametrize("member", ["isReadReceiptRequested", "isDeliveryReceiptRequested"])
def test_a_receipt_is_requested_only_by_true(member: str) -> None:
    assert broken(**{member: "yes"}) == {member: "is not true or false"}
    assert parse_mail_request(a_message(**{member: False})) == parse_mail_request(a_message())
