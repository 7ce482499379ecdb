"""Which files a mail has, before any of them is read."""

from __future__ import annotations

import pytest

from shared.adapters.serialization import write_document
from shared.deliveries.status import DeliveryStatus
from shared.mail.attachments import MAX_BODY_BYTES
from shared.sending.deliver import deliver
from tests.builders import a_file, a_message, enabled_services
from tests.fakes import CONTOSO, FakeServices


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


def body_from(services: FakeServices, content: bytes) -> bytes:
    services.files.blobs[f"{CONTOSO}/body"] = content
    return a_message(messageId="m-1", body={"contentType": "text", "blob": f"{CONTOSO}/body"})


def outcome(services: FakeServices) -> tuple[DeliveryStatus, list[str], str | None]:
    row = services.deliveries.rows[CONTOSO, "m-1"]
    return row.status, [f.field for f in row.fields], row.problem.code if row.problem else None


def test_a_text_may_begin_with_a_byte_order_mark(services: FakeServices) -> None:
    deliver(body_from(services, b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe"), "q-1", services)

    assert '"content":"Grüße"'.encode() in services.transport.sent[0][2]


def test_a_text_that_is_none_is_the_callers_mistake(services: FakeServices) -> None:
    deliver(body_from(services, b"\xff\xfeG\x00"), "q-1", services)

    assert outcome(services) == (DeliveryStatus.INVALID, ["body.blob"], "invalid_message")


def test_a_text_that_no_request_carries_is_refused_unread(services: FakeServices) -> None:
    deliver(body_from(services, bytes(MAX_BODY_BYTES + 1)), "q-1", services)

    assert outcome(services) == (DeliveryStatus.REJECTED, [], "body_too_large")
    assert not services.files.reads


def test_tenants_that_share_an_installation_read_only_their_own_files(services: FakeServices) -> None:
    services.files.blobs["fabrikam/plan.pdf"] = b"secret"
    files = [a_file("own.pdf"), a_file("plan.pdf", blob="fabrikam/plan.pdf")]
    services.files.blobs[f"{CONTOSO}/own.pdf"] = b"own"
    deliver(
        a_message(
            messageId="m-1", attachments=files, body={"contentType": "text", "blob": "fabrikam/plan.pdf"}
        ),
        "q-1",
        services,
    )

    assert outcome(services) == (DeliveryStatus.WAITING_FOR_OPERATOR, [], "files_outside_folder")
    [row] = services.deliveries.rows.values()
    assert row.problem is not None
    assert f"body.blob, attachments.1.blob must begin with {CONTOSO}/" in row.problem.problem.detail
    assert not services.files.reads


def test_a_mail_with_250_foreign_files_fits_into_a_table_row(services: FakeServices) -> None:
    foreign = [a_file("plan.pdf", blob=f"fabrikam/{number}.pdf") for number in range(250)]
    recipients = [f"cfo@{'x' * 30}{number}.contoso.com" for number in range(200)]

    deliver(a_message(messageId="m-1", attachments=foreign, to=recipients), "q-1", services)

    [row] = services.deliveries.rows.values()
    assert row.status is DeliveryStatus.WAITING_FOR_OPERATOR
    # https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
    assert len(write_document(row).encode("utf-16-le")) < 64 * 1024


def test_a_single_tenant_needs_no_folder(services: FakeServices) -> None:
    services.configure(allowed_tenant_ids=frozenset({CONTOSO}))
    services.files.blobs["2026/sales.pdf"] = b"%PDF"
    deliver(a_message(messageId="m-1", attachments=[a_file("a", blob="2026/sales.pdf")]), "q-1", services)

    assert outcome(services)[0] is DeliveryStatus.ACCEPTED
