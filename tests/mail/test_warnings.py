"""Warnings of mails that are sent anyway."""

from __future__ import annotations

import pytest

from shared.deliveries.status import DeliveryStatus
from shared.errors import InvalidInputError
from shared.mail.message import MAX_ATTACHMENTS, parse_mail_request
from shared.mail.warnings import find_warnings
from shared.sending.deliver import deliver
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO


@pytest.mark.parametrize(
    ("subject", "length"),
    [("x" * 255, None), ("x" * 256, "256"), ("x" * 998, "998"), ("\U0001f4c8" * 128, "256")],
)
def test_a_subject_longer_than_exchange_stores_is_sent_with_a_warning(
    subject: str, length: str | None
) -> None:
    services = enabled_services()
    deliver(a_message(messageId="m-1", subject=subject), "q-1", services)

    row = services.deliveries.rows[CONTOSO, "m-1"]
    assert row.status is DeliveryStatus.ACCEPTED
    assert [(warning.code, warning.params["length"]) for warning in row.warnings] == (
        [("subject_over_limit", length)] if length else []
    )


def test_a_mail_can_have_both_warnings_and_each_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    services = enabled_services()
    body = {"contentType": "html", "content": '<img src="cid:chart1">'}
    deliver(a_message(messageId="m-1", subject="x" * 300, body=body), "q-1", services)

    codes = [warning.code for warning in services.deliveries.rows[CONTOSO, "m-1"].warnings]
    logged = [line for line in caplog.messages if line.startswith("mail_warning {")]
    assert codes == ["content_id_missing", "subject_over_limit"]
    assert len(logged) == 2
    assert not any("xxx" in line for line in logged)


def test_a_text_that_is_not_html_refers_to_no_pictures() -> None:
    text = {"contentType": "text", "content": "see cid:chart1"}

    assert find_warnings(parse_mail_request(a_message(body=text)), "see cid:chart1") == ()


def files(count: int) -> list[dict[str, str]]:
    return [{"name": "a", "contentType": "a/b", "blob": f"{number}"} for number in range(count)]


def test_a_mail_has_as_many_files_as_exchange_online_takes_and_no_more() -> None:
    assert len(parse_mail_request(a_message(attachments=files(MAX_ATTACHMENTS))).attachments) == 250

    with pytest.raises(InvalidInputError) as caught:
        parse_mail_request(a_message(attachments=files(251)))

    assert [error.field for error in caught.value.fields] == ["attachments"]
