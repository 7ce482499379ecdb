"""The queue contract: valid messages and the errors of invalid ones."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.deliveries.requeue import StoredMailRef, requeue_message
from shared.errors import InvalidInputError
from shared.mail.fields import Recipient
from shared.mail.message import MAX_MESSAGE_BYTES, MailRequest, parse_mail_request
from shared.sending.queued import parse_queued
from tests.builders import a_message
from tests.fakes import CONTOSO


def broken_fields(text: bytes) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as caught:
        parse_mail_request(text)
    assert caught.value.code == "invalid_message"
    return {field.field: field.message for field in caught.value.fields}


def test_the_whole_contract_is_understood() -> None:
    request = parse_mail_request(
        a_message(
            tenantId=CONTOSO.upper(),
            to=["cfo@Contoso.COM", {"address": "board@contoso.com", "name": "The board"}],
            cc=["a@contoso.com"],
            bcc=["b@contoso.com"],
            replyTo=["c@contoso.com"],
            attachments=[
                {
                    "name": "sales.pdf",
                    "contentType": "application/pdf",
                    "blob": "2026/11/23/sales.pdf",
                },
                {
                    "name": "chart.png",
                    "contentType": "image/png",
                    "contentBytes": base64.b64encode(b"\x89PNG").decode(),
                    "contentId": "chart1",
                    "inline": True,
                },
            ],
            importance="high",
            saveToSentItems=False,
            headers={"x-inforiver-report": "4711"},
            expiresAt="2026-11-24T06:00:00Z",
            correlationId="run-17",
        )
    )

    assert request.tenant_id == CONTOSO
    assert request.to == (
        Recipient(address="cfo@contoso.com"),
        Recipient(address="board@contoso.com", name="The board"),
    )
    assert [someone.address for someone in request.recipients] == [
        "cfo@contoso.com",
        "board@contoso.com",
        "a@contoso.com",
        "b@contoso.com",
    ]
    assert request.attachments[0].blob == "2026/11/23/sales.pdf"
    assert request.attachments[1].content_bytes == b"\x89PNG"
    assert request.expires_at == datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
    assert not request.save_to_sent_items


def test_every_invalid_field_is_named_at_once() -> None:
    fields = broken_fields(
        a_message(messageId="sales weekly", subject=None, importance="urgent", sender="x@contoso.com")
    )

    assert set(fields) == {"messageId", "subject", "importance", "sender"}


def test_a_mail_cannot_choose_its_sender() -> None:
    assert "from" in broken_fields(a_message(**{"from": "ceo@contoso.com"}))


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        ("subject", {"subject": "Sales\r\nBcc: thief@fabrikam.com"}),
        ("headers.x-report", {"headers": {"x-report": "1\nX-Other: 2"}}),
        ("to.0.name", {"to": [{"address": "cfo@contoso.com", "name": "CFO\r\nBcc: thief@fabrikam.com"}]}),
        ("to.0.address", {"to": ["cfo@contoso.com\r\nBcc: thief@fabrikam.com"]}),
        ("correlationId", {"correlationId": "a\x00b"}),
        (
            "attachments.0.name",
            {"attachments": [{"name": "a\r\nb.pdf", "contentType": "application/pdf", "blob": "a.pdf"}]},
        ),
        (
            "attachments.0.contentType",
            {"attachments": [{"name": "a.pdf", "contentType": "text/plain\r\nX: y", "blob": "a.pdf"}]},
        ),
        (
            "attachments.0.contentType",
            {"attachments": [{"name": "a.pdf", "contentType": "text/plain\n", "blob": "a.pdf"}]},
        ),
    ],
)
def test_a_line_break_cannot_start_a_header_of_its_own(place: str, changes: dict[str, Any]) -> None:
    assert place in broken_fields(a_message(**changes))


@pytest.mark.parametrize("name", ["report", "X", "x-", "subject", "x-a:b", "x-a b", "x-a\n"])
def test_a_header_is_named_x_dash(name: str) -> None:
    assert broken_fields(a_message(headers={name: "1"}))


def test_five_headers_are_the_most() -> None:
    assert len(parse_mail_request(a_message(headers={f"x-h{n}": "v" for n in range(5)})).headers) == 5
    assert "headers" in broken_fields(a_message(headers={f"x-h{n}": "v" for n in range(6)}))


@pytest.mark.parametrize(
    "path",
    [
        "../secrets.txt",
        "a/../../b.pdf",
        "a/./b.pdf",
        "/etc/passwd",
        "a//b.pdf",
        "https://fabrikam.com/x.pdf",
        "//fabrikam.com/x.pdf",
        "a\\b.pdf",
        "a.pdf?sig=1",
        "a%2e%2e/b.pdf",
        "a.pdf#x",
        "a\n.pdf",
        "",
        "a/",
        "a\u0081.pdf",
        "a\ue000.pdf",
        "a\uffff.pdf",
        254 * "a/" + "b.pdf",
    ],
)
def test_a_blob_is_a_plain_path_inside_its_container(path: str) -> None:
    files = [{"name": "a.pdf", "contentType": "application/pdf", "blob": path}]

    assert "attachments.0.blob" in broken_fields(a_message(attachments=files))


def test_a_blob_path_may_have_dots_and_spaces_in_its_names() -> None:
    files = [{"name": "a.pdf", "contentType": "application/pdf", "blob": "2026/Q4 sales..v2/a.b.pdf"}]

    assert parse_mail_request(a_message(attachments=files)).attachments[0].blob == "2026/Q4 sales..v2/a.b.pdf"


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ({"blob": "a.pdf", "contentBytes": "YQ=="}, "give either blob or contentBytes"),
        ({}, "give either blob or contentBytes"),
        (
            {"blob": "a.pdf", "inline": True},
            "an inline file needs a contentId, to which the html refers as cid:…",
        ),
    ],
)
def test_a_file_has_one_source_and_an_inline_one_a_name_in_the_html(file: dict[str, Any], said: str) -> None:
    files = [{"name": "a.pdf", "contentType": "application/pdf", **file}]

    assert broken_fields(a_message(attachments=files)) == {"attachments.0": said}


@pytest.mark.parametrize(
    "body",
    [
        {"contentType": "html"},
        {"contentType": "html", "content": "a", "blob": "a.html"},
    ],
)
def test_the_body_has_one_source(body: dict[str, str]) -> None:
    assert broken_fields(a_message(body=body)) == {"body": "give either content or blob"}


def test_a_long_body_may_be_in_a_blob() -> None:
    request = parse_mail_request(a_message(body={"contentType": "html", "blob": "2026/body.html"}))

    assert request.body.blob == "2026/body.html"


@pytest.mark.parametrize("count", [0, 501])
def test_a_mail_has_one_to_five_hundred_recipients(count: int) -> None:
    people = [f"p{n}@contoso.com" for n in range(count)]
    fields = broken_fields(a_message(to=people[:250], cc=people[250:400], bcc=people[400:]))

    assert fields == {
        "(whole body)": f"give 1 to 500 recipients in to, cc and bcc together, not {count}",
    }


def test_five_hundred_recipients_are_accepted() -> None:
    people = [f"p{n}@contoso.com" for n in range(500)]

    assert len(parse_mail_request(a_message(to=people[:499], bcc=people[499:])).recipients) == 500


def test_a_message_over_the_queues_limit_is_refused_unread() -> None:
    text = a_message(subject="x" * MAX_MESSAGE_BYTES)

    assert broken_fields(text) == {"(whole body)": f"is {len(text)} bytes; at most 49152 are allowed"}


def test_an_error_does_not_repeat_the_refused_value() -> None:
    fields = broken_fields(a_message(to=["not-an-address-but-a-secret"]))

    assert fields == {"to.0.address": "this is not a full mail address"}


def test_the_fingerprint_depends_on_the_content_and_not_on_the_run() -> None:
    first = parse_mail_request(a_message(correlationId="run-1", expiresAt="2026-11-24T06:00:00Z"))
    again = parse_mail_request(a_message(correlationId="run-2", expiresAt="2026-11-24T07:00:00Z"))
    other = parse_mail_request(a_message(subject="Weekly sales, APAC"))

    assert first.fingerprint() == again.fingerprint()
    assert first.fingerprint() != other.fingerprint()


def test_the_fingerprint_does_not_depend_on_the_order_of_headers() -> None:
    headers = {"x-b": "1", "x-a": "2"}
    first = parse_mail_request(a_message(headers=headers))
    again = parse_mail_request(a_message(headers=dict(sorted(headers.items()))))

    assert first.fingerprint() == again.fingerprint()
    assert first != parse_mail_request(a_message(headers={"x-b": "2", "x-a": "1"}))


def test_a_requeue_message_is_distinguished_from_a_schedulers_mail() -> None:
    assert parse_queued(requeue_message(CONTOSO, "m-1")) == StoredMailRef(tenant_id=CONTOSO, message_id="m-1")
    assert isinstance(parse_queued(a_message()), MailRequest)


def test_a_requeue_message_that_is_malformed_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        parse_queued(b'{"resume":{"tenantId":1}}')


@given(st.binary())
@example(b"")
@example(b"null")
@example(b"\xff\xfe")
@example(b'{"resume":')
@example(b"[" * 40_000)
@example(b'{"subject": "\\ud800"}')
@example(a_message(subject="\ud800"))
@example(a_message(headers={"x-\ud800": "a"}))
@example(a_message(expiresAt="+275760-09-13T00:00:00Z"))
@example(a_message(expiresAt=1e308))
@example(a_message(schemaVersion=True))
def test_any_bytes_are_a_mail_or_refused(text: bytes) -> None:
    try:
        parse_queued(text)
    except InvalidInputError as refused:
        error = refused
    else:
        return
    assert error.fields


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
MEMBERS = sorted(MailRequest.model_json_schema(by_alias=True)["properties"])


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON, min_size=1))
def test_a_message_with_anything_in_any_member_is_a_mail_or_refused(changes: dict[str, Any]) -> None:
    text = json.dumps(json.loads(a_message()) | changes).encode()
    try:
        request = parse_mail_request(text)
    except InvalidInputError as refused:
        named = {field.field.split(".")[0] for field in refused.fields}
    else:
        assert request.recipients
        return
    assert named <= {*changes, "(whole body)"}
    assert named


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_needs_its_time_zone(moment: datetime) -> None:
    assert parse_mail_request(a_message(expiresAt=moment.isoformat())).expires_at == moment
    assert "expiresAt" in broken_fields(a_message(expiresAt=moment.replace(tzinfo=None).isoformat()))
    assert timedelta(0) == moment.utcoffset()


@pytest.mark.parametrize("name", ["../m-1", "m-1/../../attachments/a", "", "a b"])
def test_a_requeue_message_cannot_name_what_is_no_mail(name: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_queued(b'{"resume":' + json.dumps({"tenantId": CONTOSO, "messageId": name}).encode() + b"}")


def test_a_requeue_message_cannot_name_another_folder_as_its_tenant() -> None:
    with pytest.raises(InvalidInputError):
        parse_queued(b'{"resume":{"tenantId":"../drafts","messageId":"m-1"}}')


def test_a_new_member_does_not_change_the_hash_of_queued_mails() -> None:
    class NextContract(MailRequest):
        sensitivity: str = "normal"

    newer = NextContract.model_validate_json(a_message())

    assert newer.fingerprint() == MailRequest.model_validate_json(a_message()).fingerprint()


def test_a_default_that_is_spelt_out_is_the_same_content() -> None:
    spelt_out = parse_mail_request(a_message(importance="normal", saveToSentItems=True))

    assert spelt_out.fingerprint() == parse_mail_request(a_message()).fingerprint()


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_a_moment_that_cannot_be_compared_is_refused(moment: str) -> None:
    assert set(broken_fields(a_message(expiresAt=moment))) == {"expiresAt"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data:application/pdf;base64,JVBERi0=", "is a data URL; give only what follows its comma"),
        ("-_-_", "is URL-safe base64; use + and / in place of - and _"),
        (
            "sales.pdf",
            "is not base64 (RFC 4648 section 4); it needs its padding, and only line breaks may interrupt it",
        ),
    ],
)
def test_a_file_that_is_not_base64_is_refused(text: str, said: str) -> None:
    files = [{"name": "a.pdf", "contentType": "application/pdf", "contentBytes": text}]

    assert broken_fields(a_message(attachments=files)) == {"attachments.0.contentBytes": said}


@given(st.binary(max_size=300), st.sampled_from(["", "\r\n", "\n"]))
def test_a_file_in_base64_arrives_byte_for_byte(content: bytes, line_break: str) -> None:
    encoded = base64.b64encode(content).decode()
    lines = line_break.join(encoded[first : first + 76] for first in range(0, len(encoded), 76))
    files = [{"name": "a.bin", "contentType": "application/octet-stream", "contentBytes": lines}]

    assert parse_mail_request(a_message(attachments=files)).attachments[0].content_bytes == content


@given(st.binary(min_size=1, max_size=300))
def test_url_safe_base64_that_differs_is_refused(content: bytes) -> None:
    encoded = base64.urlsafe_b64encode(content).decode()
    files = [{"name": "a.bin", "contentType": "application/octet-stream", "contentBytes": encoded}]
    if encoded == base64.b64encode(content).decode():
        assert parse_mail_request(a_message(attachments=files)).attachments[0].content_bytes == content
    else:
        assert broken_fields(a_message(attachments=files))


@pytest.mark.parametrize(
    ("content_type", "said"),
    [
        ("text/csv; charset=utf-8", "leave out the parameters; only text/calendar may have method=…"),
        ("pdf", "use a media type such as application/pdf"),
    ],
)
def test_a_content_type_is_explained_in_words(content_type: str, said: str) -> None:
    files = [{"name": "a", "contentType": content_type, "blob": "a"}]

    assert broken_fields(a_message(attachments=files)) == {"attachments.0.contentType": said}


def test_an_invitation_names_its_method() -> None:
    files = [{"name": "a.ics", "contentType": "text/calendar; method=REQUEST", "blob": "a.ics"}]

    assert parse_mail_request(a_message(attachments=files)).attachments[0].content_type == (
        "text/calendar; method=REQUEST"
    )


def test_two_attachments_with_one_content_id_are_refused() -> None:
    files = [{"name": n, "contentType": "image/png", "blob": n, "contentId": "c1"} for n in ("a", "b")]

    assert broken_fields(a_message(attachments=files)) == {
        "attachments.1.contentId": "another attachment has the same contentId"
    }


def test_null_is_the_same_as_leaving_a_member_out() -> None:
    written_out = parse_mail_request(
        a_message(cc=None, bcc=None, attachments=None, importance=None, saveToSentItems=None, headers=None)
    )

    assert written_out == parse_mail_request(a_message())
    assert written_out.fingerprint() == parse_mail_request(a_message()).fingerprint()


@pytest.mark.parametrize("moment", [0, "20261224", "2026-12-24", "2026-12-24 06:00", "2026-12-24T06:00:00"])
def test_a_moment_is_a_text_of_rfc_3339(moment: object) -> None:
    assert broken_fields(a_message(expiresAt=moment)) == {
        "expiresAt": "use a date and time with a time zone, such as 2026-11-24T06:00:00Z"
    }


def test_a_byte_order_mark_is_skipped() -> None:
    assert parse_mail_request(b"\xef\xbb\xbf" + a_message()) == parse_mail_request(a_message())


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON, min_size=1))
def test_no_library_text_reaches_a_person(changes: dict[str, Any]) -> None:
    text = json.dumps(json.loads(a_message()) | changes).encode()
    try:
        parse_mail_request(text)
    except InvalidInputError as refused:
        for field in refused.fields:
            assert not any(
                word in field.message for word in ("Input should", "pattern", "valid ", "Value error")
            )
