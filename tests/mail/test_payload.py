"""A mail in Graph's format: all recipients, and every byte unchanged."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.mail.message import Attachment, parse_mail_request
from shared.mail.payload import (
    KEY_PROPERTY,
    add_properties,
    build_attachment,
    build_message,
    build_send_mail,
    build_upload_item,
    delivery_key,
    write_json,
)
from tests.builders import a_message
from tests.fakes import CONTOSO

ADDRESSES = st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.com", fullmatch=True)
NAMES = st.none() | st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"]), max_size=20)
PEOPLE = st.lists(st.tuples(ADDRESSES, NAMES), max_size=8)


def written(people: list[tuple[str, str | None]]) -> list[Any]:
    return [address if name is None else {"address": address, "name": name} for address, name in people]


def found(message: dict[str, Any], member: str) -> list[tuple[str, str | None]]:
    people = [person["emailAddress"] for person in message.get(member, [])]
    return [(person["address"], person.get("name")) for person in people]


@given(PEOPLE, PEOPLE, PEOPLE, PEOPLE)
def test_no_recipient_is_lost_or_invented(
    to: list[tuple[str, str | None]],
    cc: list[tuple[str, str | None]],
    bcc: list[tuple[str, str | None]],
    reply_to: list[tuple[str, str | None]],
) -> None:
    to = [*to, ("someone@contoso.com", None)]
    request = parse_mail_request(
        a_message(to=written(to), cc=written(cc), bcc=written(bcc), replyTo=written(reply_to))
    )

    message = build_message(request, "text", None)

    assert found(message, "toRecipients") == to
    assert found(message, "ccRecipients") == cc
    assert found(message, "bccRecipients") == bcc
    assert found(message, "replyTo") == reply_to


@given(st.binary(max_size=5000))
def test_a_file_arrives_byte_for_byte(content: bytes) -> None:
    built = build_attachment(
        Attachment(name="a.bin", content_type="application/octet-stream", blob="a"), content
    )

    assert base64.b64decode(built["contentBytes"], validate=True) == content
    assert built["@odata.type"] == "#microsoft.graph.fileAttachment"


def test_an_inline_image_keeps_the_name_that_the_html_refers_to() -> None:
    image = Attachment(
        name="chart.png", content_type="image/png", blob="c.png", content_id="chart1", inline=True
    )

    built = build_attachment(image, b"\x89PNG")

    assert (built["isInline"], built["contentId"], built["contentType"]) == (True, "chart1", "image/png")


def test_a_plain_file_is_not_inline() -> None:
    built = build_attachment(Attachment(name="a.pdf", content_type="application/pdf", blob="a.pdf"), b"")

    assert set(built) == {"@odata.type", "name", "contentType", "contentBytes"}


def test_the_whole_mail_is_what_graph_documents() -> None:
    request = parse_mail_request(
        a_message(importance="high", headers={"x-report": "4711"}, saveToSentItems=False)
    )
    message = build_message(request, "<p>Ünï</p>", "reports@contoso.com")

    whole = add_properties(write_json(message), request, "key")
    call = json.loads(build_send_mail(whole, [], save_to_sent_items=False))

    assert call == {
        "message": {
            "subject": "Weekly sales, EMEA",
            "importance": "high",
            "body": {"contentType": "html", "content": "<p>Ünï</p>"},
            "toRecipients": [{"emailAddress": {"address": "cfo@contoso.com"}}],
            "singleValueExtendedProperties": [{"id": KEY_PROPERTY, "value": "key"}],
            "internetMessageHeaders": [{"name": "x-report", "value": "4711"}],
            "from": {"emailAddress": {"address": "reports@contoso.com"}},
        },
        "saveToSentItems": False,
    }


def test_receipts_are_requested_by_name() -> None:
    request = parse_mail_request(a_message(isReadReceiptRequested=True, isDeliveryReceiptRequested=True))
    message = build_message(request, "text", None)

    assert (message["isReadReceiptRequested"], message["isDeliveryReceiptRequested"]) == (True, True)


def test_the_headers_for_leaving_a_list_are_properties_of_the_message() -> None:
    request = parse_mail_request(
        a_message(
            listUnsubscribe="<https://contoso.com/leave?id=1>",
            listUnsubscribePost="List-Unsubscribe=One-Click",
        )
    )
    written = add_properties(write_json(build_message(request, "text", None)), request, None)

    assert json.loads(written)["singleValueExtendedProperties"] == [
        {"id": "String 0x1045", "value": "<https://contoso.com/leave?id=1>"},
        {
            "id": "String {00020386-0000-0000-C000-000000000046} Name List-Unsubscribe-Post",
            "value": "List-Unsubscribe=One-Click",
        },
    ]


def test_a_mail_without_key_and_list_has_no_properties() -> None:
    request = parse_mail_request(a_message())

    assert add_properties(b'{"subject":"a"}', request, None) == b'{"subject":"a"}'


def test_an_invitation_keeps_its_method() -> None:
    invitation = Attachment(name="a.ics", content_type="text/calendar; method=REQUEST", blob="a.ics")

    assert build_attachment(invitation, b"BEGIN")["contentType"] == "text/calendar; method=REQUEST"
    assert b'"contentType":"text/calendar; method=REQUEST"' in build_upload_item(invitation, 5)


def test_sent_items_use_the_graph_default_and_files_are_inside_the_message() -> None:
    message = build_message(parse_mail_request(a_message()), "text", None)
    file = build_attachment(Attachment(name="a.pdf", content_type="application/pdf", blob="a.pdf"), b"%PDF")

    call = json.loads(build_send_mail(write_json(message), [file], save_to_sent_items=True))

    assert set(call) == {"message"}
    assert call["message"]["attachments"] == [file]
    assert "from" not in call["message"]


def test_a_large_file_is_announced_with_its_place_in_the_text() -> None:
    image = Attachment(
        name="chart.png", content_type="image/png", blob="c.png", content_id="chart1", inline=True
    )

    assert json.loads(build_upload_item(image, 3_483_322)) == {
        "AttachmentItem": {
            "attachmentType": "file",
            "name": "chart.png",
            "size": 3_483_322,
            "contentType": "image/png",
            "contentId": "chart1",
            "isInline": True,
        }
    }


def test_keys_differ_if_names_differ_only_in_case() -> None:
    assert delivery_key(CONTOSO, "Sales") != delivery_key(CONTOSO, "sales")
