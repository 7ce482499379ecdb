"""Queue messages: plain JSON, base64, and everything else."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.deliveries.status import DeliveryStatus
from shared.errors import InvalidInputError
from shared.mail.decode import decode_message
from shared.sending.deliver import deliver
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO

MAIL = a_message(subject="Umsätze €")
BOM = b"\xef\xbb\xbf"


def encoded(text: bytes) -> bytes:
    return base64.b64encode(text)


def found_in(raw: bytes) -> str:
    """Return what the error says a refused message contains."""
    with pytest.raises(InvalidInputError) as caught:
        decode_message(raw)
    assert caught.value.code == "unreadable_message"
    assert caught.value.params["size"] == str(len(raw))
    assert caught.value.params["sha256"] == hashlib.sha256(raw).hexdigest()
    return caught.value.params["found"]


@pytest.mark.parametrize(
    "raw",
    [
        MAIL,
        BOM + MAIL,
        b" \r\n\t" + MAIL + b"\n",
        encoded(MAIL),
        encoded(BOM + MAIL),
        encoded(b"\n" + MAIL + b"\n"),
        b" " + encoded(MAIL) + b"\r\n",
        base64.encodebytes(MAIL),
        BOM + encoded(MAIL),
    ],
    ids=[
        "plain",
        "plain, BOM",
        "plain, space",
        "base64",
        "BOM in it",
        "space in it",
        "space",
        "lines",
        "BOM",
    ],
)
def test_json_and_base64_of_json_are_read(raw: bytes) -> None:
    assert decode_message(raw) == MAIL


EVENT_GRID = {
    "id": "1",
    "topic": "/subscriptions/1",
    "subject": "mail",
    "eventType": "Report.Ready",
    "eventTime": "2026-11-23T06:00:00Z",
    "dataVersion": "1",
    "data": {"to": ["cfo@contoso.com"]},
}
CLOUD_EVENT = {"specversion": "1.0", "type": "report", "source": "/reports", "id": "1", "data": {}}
CELERY = {
    "body": "W10=",
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": {"task": "mail"},
    "properties": {"correlation_id": "1"},
}


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (encoded(encoded(MAIL)), "base64 in base64"),
        (encoded(MAIL.decode().encode("utf-16")), "text in UTF-16 in base64"),
        (encoded(MAIL.decode().encode("utf-16-le")), "text in UTF-16 in base64"),
        (encoded(MAIL.decode().encode("utf-16-be")), "text in UTF-16 in base64"),
        (encoded('{"subject": "ü"}'.encode("latin-1")), "text in another encoding than UTF-8 in base64"),
        (encoded(gzip.compress(MAIL, mtime=0)), "compressed data (gzip) in base64"),
        (encoded(b"PK\x03\x04rest"), "a zip archive in base64"),
        (json.dumps(EVENT_GRID).encode(), "an Event Grid event"),
        (encoded(json.dumps(EVENT_GRID).encode()), "an Event Grid event in base64"),
        (json.dumps([EVENT_GRID]).encode(), "a list"),
        (json.dumps(CLOUD_EVENT).encode(), "a CloudEvents event"),
        (encoded(json.dumps(CELERY).encode()), "a Celery message in base64"),
        (b"[]", "a list"),
        (encoded(b"[" + MAIL + b"]"), "a list in base64"),
        (json.dumps(MAIL.decode()).encode(), "a JSON string"),
        (encoded(json.dumps(MAIL.decode()).encode()), "a JSON string in base64"),
        (b"null", "JSON, but not an object"),
        (b"1234", "JSON, but not an object"),
        (b"<mail/>", "XML or HTML"),
        (encoded(b"<mail/>"), "XML or HTML in base64"),
        (encoded(b'{"a":"??>"}').translate(bytes.maketrans(b"+/", b"-_")), "base64"),
        (encoded(b'{"a":1}').rstrip(b"="), "base64 with the alphabet for URLs or without its padding"),
        (base64.urlsafe_b64encode('{"a":"ÿþ>>>???"}'.encode()), "base64 with the alphabet for URLs"),
        (b"hello", "no JSON"),
        (b"password=hunter2", "no JSON"),
        (encoded(b"hello"), "no JSON"),
        (b"\xff\xfe", "text in UTF-16"),
        (bytes(range(120, 256)), "no JSON"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_anything_else_is_named_by_its_kind(raw: bytes, found: str) -> None:
    said = found_in(raw)

    assert said.startswith(found)


@pytest.mark.parametrize("raw", [b'{"broken', b"{" * 100_000, b'{"a": 1} and more', b"{}"])
def test_what_begins_as_an_object_is_left_to_the_contract(raw: bytes) -> None:
    assert decode_message(raw) == raw


@given(st.binary(max_size=200))
def test_no_message_is_read_as_anything_but_an_object_or_refused(raw: bytes) -> None:
    try:
        read = decode_message(raw)
    except InvalidInputError as error:
        read = error.code.encode()

    assert read == b"unreadable_message" or read.startswith(b"{")


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=5))
def test_a_message_means_the_same_in_either_form(members: dict[str, str]) -> None:
    text = json.dumps(members, ensure_ascii=False).encode()

    assert decode_message(encoded(text)) == decode_message(text) == text


@pytest.mark.parametrize("raw", [MAIL, encoded(MAIL)], ids=["plain", "base64"])
def test_a_mail_is_sent_whichever_way_it_was_queued(raw: bytes) -> None:
    services = enabled_services()

    deliver(raw, "q-1", services)

    (row,) = services.deliveries.rows.values()
    assert row.status is DeliveryStatus.ACCEPTED


def test_the_same_mail_in_the_other_form_is_a_duplicate_and_no_conflict() -> None:
    services = enabled_services()

    deliver(MAIL, "q-1", services)
    deliver(encoded(MAIL), "q-2", services)

    (row,) = services.deliveries.rows.values()
    assert (row.status, row.conflict_at) == (DeliveryStatus.ACCEPTED, None)
    assert len(services.transport.sent) == 1


def test_json_is_limited_to_48_kib_in_either_form() -> None:
    services = enabled_services()
    longest = a_message(messageId="fits", subject="", body={"contentType": "text", "content": ""})
    room = 48 * 1024 - len(longest)

    def of_size(extra: int, name: str) -> bytes:
        # The names have one length, so the sizes are those of the longest and of one that is a byte longer.
        body = {"contentType": "text", "content": "x" * (room + extra)}
        return a_message(messageId=name, subject="", body=body)

    deliver(of_size(0, "fit1"), "q-1", services)
    deliver(encoded(of_size(0, "fit2")), "q-2", services)
    deliver(of_size(1, "big1"), "q-3", services)
    deliver(encoded(of_size(1, "big2")), "q-4", services)

    rows = {message_id: row.status for (_, message_id), row in services.deliveries.rows.items()}
    assert rows == {
        "fit1": DeliveryStatus.ACCEPTED,
        "fit2": DeliveryStatus.ACCEPTED,
        "big1": DeliveryStatus.INVALID,
        "big2": DeliveryStatus.INVALID,
    }


def test_what_was_found_is_on_record_and_in_the_log_without_a_byte_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    services = enabled_services()
    raw = encoded(gzip.compress(MAIL, mtime=0))

    deliver(raw, "4711", services)

    row = services.deliveries.rows[CONTOSO, "unreadable-4711"]
    assert row.status is DeliveryStatus.INVALID
    assert row.problem is not None
    assert row.problem.code == "unreadable_message"
    assert row.problem.params == {
        "found": "compressed data (gzip) in base64",
        "size": str(len(raw)),
        "sha256": hashlib.sha256(raw).hexdigest(),
    }
    assert f'"sha256": "{hashlib.sha256(raw).hexdigest()}"' in caplog.text
    assert raw.decode()[:20] not in caplog.text


def test_an_object_with_only_some_members_of_an_envelope_is_no_envelope() -> None:
    text = b'{"specversion": "1.0", "messageId": "m-1"}'

    assert decode_message(text) == text


def test_a_broken_envelope_is_broken_json_which_the_contract_refuses() -> None:
    broken = b'{"specversion": "1.0", "type"'

    assert decode_message(broken) == broken
