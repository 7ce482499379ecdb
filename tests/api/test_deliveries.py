"""The delivery log as an admin sees it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest

from shared.api.deliveries import list_deliveries, parse_query, read_delivery, retry_delivery
from shared.caller import Caller
from shared.deliveries.delivery import Delivery
from shared.deliveries.recipient_summary import RecipientSummary
from shared.deliveries.status import DeliveryStatus
from shared.errors import InvalidInputError, NotFoundError, OutcomeUnknownError
from shared.sending.deliver import deliver
from tests.api_client import a_request
from tests.builders import ADMIN, a_message, enabled_services
from tests.fakes import CONTOSO, FABRIKAM, NOON, FakeServices

MALLORY = Caller(FABRIKAM, "mallory-object-id", "mallory@fabrikam.com")


def content(reply: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(reply.body)
    return found


def some_rows(services: FakeServices, count: int) -> None:
    for number in range(count):
        moment = NOON + timedelta(minutes=number)
        row = Delivery(CONTOSO, f"m-{number}", DeliveryStatus.ACCEPTED, moment, moment, moment)
        services.deliveries.add(replace(row, recipients=RecipientSummary(1, 0, 0, ("contoso.com",))))


def test_one_mail_is_shown_with_its_history_and_without_its_text() -> None:
    services = enabled_services()
    services.transport.fail = [OutcomeUnknownError("outcome_unknown", request_id="g-1")]
    deliver(a_message(messageId="m-1", bcc=["secret@fabrikam.com"], correlationId="run-1"), "q-1", services)

    reply = read_delivery(a_request(route={"message_id": "m-1"}), ADMIN, services)

    shown = content(reply)
    assert shown["status"] == "unknown"
    assert shown["final"]
    assert shown["recipients"] == {"to": 1, "cc": 0, "bcc": 1, "domains": ["contoso.com", "fabrikam.com"]}
    assert shown["problem"]["code"] == "outcome_unknown"
    assert shown["problem"]["whoActs"] == "workspace_admin"
    assert [(step["status"], step["graphRequestId"]) for step in shown["history"]] == [
        ("sending", None),
        ("unknown", "g-1"),
    ]
    assert shown["correlationId"] == "run-1"
    for private in (b"secret@", b"cfo@", b"Weekly sales", b"Up 4"):
        assert private not in reply.body


def test_a_conflict_is_shown_in_the_list_and_in_the_delivery() -> None:
    services = enabled_services()
    deliver(a_message(messageId="m-1"), "q-1", services)
    before = content(read_delivery(a_request(route={"message_id": "m-1"}), ADMIN, services))
    services.system.pass_time(timedelta(hours=1))
    deliver(a_message(messageId="m-1", subject="Something else"), "q-2", services)

    shown = content(read_delivery(a_request(route={"message_id": "m-1"}), ADMIN, services))
    [listed] = content(list_deliveries(a_request(), ADMIN, services))["deliveries"]

    assert before["conflict"] is None
    assert (shown["status"], shown["problem"]) == ("accepted", None)
    assert shown["conflict"] == listed["conflict"]
    assert (shown["conflict"]["code"], shown["conflict"]["whoActs"]) == ("message_conflict", "caller")
    assert shown["conflict"]["since"] == "2026-11-23T13:00:00Z"
    assert "was not sent" in shown["conflict"]["detail"]


def test_a_missing_picture_is_a_warning_in_the_list_and_in_the_delivery() -> None:
    services = enabled_services()
    body = {"contentType": "html", "content": '<img src="cid:chart1"><img src="cid:logo">'}
    files = [{"name": "l", "contentType": "image/png", "contentBytes": "AA==", "contentId": "logo"}]
    deliver(a_message(messageId="m-1", body=body, attachments=files), "q-1", services)

    shown = content(read_delivery(a_request(route={"message_id": "m-1"}), ADMIN, services))
    [listed] = content(list_deliveries(a_request(), ADMIN, services))["deliveries"]

    assert (shown["status"], shown["problem"]) == ("accepted", None)
    assert shown["warnings"] == listed["warnings"]
    [warning] = shown["warnings"]
    assert (warning["code"], warning["whoActs"]) == ("content_id_missing", "caller")
    assert "refers to chart1 as cid:" in warning["detail"]


def test_the_invalid_fields_of_a_message_are_shown() -> None:
    services = enabled_services()
    deliver(a_message(messageId="m-1", subject=None), "q-1", services)

    shown = content(read_delivery(a_request(route={"message_id": "m-1"}), ADMIN, services))

    assert [error["field"] for error in shown["errors"]] == ["subject"]


@pytest.mark.parametrize("caller", [ADMIN, MALLORY])
def test_a_mail_of_another_tenant_is_as_unknown_as_one_that_never_was(caller: Caller) -> None:
    services = FakeServices()
    if caller is MALLORY:
        some_rows(services, 1)

    with pytest.raises(NotFoundError):
        read_delivery(a_request(route={"message_id": "m-0"}), caller, services)


def test_the_list_continues_by_its_token() -> None:
    services = FakeServices()
    some_rows(services, 3)
    first = content(list_deliveries(a_request(query={"limit": "2"}), ADMIN, services))

    assert [mail["messageId"] for mail in first["deliveries"]] == ["m-2", "m-1"]
    assert first["continuationToken"]


def test_the_last_page_has_no_token() -> None:
    services = FakeServices()
    some_rows(services, 1)

    assert content(list_deliveries(a_request(), ADMIN, services))["continuationToken"] is None


def test_a_query_is_read_from_its_parameters() -> None:
    token = base64.urlsafe_b64encode(b"!8236546599999999!m-1").decode()
    query = parse_query(
        CONTOSO,
        {
            "status": "waiting_for_consent",
            "since": "2026-11-23T06:00:00Z",
            "until": "2026-11-24",
            "limit": "200",
            "continuationToken": token,
        },
    )

    assert query.status is DeliveryStatus.WAITING_FOR_CONSENT
    assert query.since == datetime(2026, 11, 23, 6, tzinfo=UTC)
    assert query.until == datetime(2026, 11, 24, tzinfo=UTC)
    assert (query.limit, query.continuation) == (200, "!8236546599999999!m-1")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("status", "lost"),
        ("since", "Tuesday"),
        ("until", ""),
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "many"),
        ("limit", "\u0665"),
        ("limit", "+5"),
        ("limit", " 5"),
        ("limit", "1_0"),
        ("limit", "9" * 7000),
        ("since", "2026" * 1000),
        ("continuationToken", "§"),
        ("continuationToken", "a"),
        ("continuationToken", base64.urlsafe_b64encode(b"\xff").decode()),
        ("continuationToken", base64.urlsafe_b64encode(b"m-1' or true").decode()),
        ("continuationToken", base64.urlsafe_b64encode(b"!8236546599999999!a#b").decode()),
        ("continuationToken", base64.urlsafe_b64encode(b"!1!" + 9000 * b"m").decode()),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(name: str, text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_query(CONTOSO, {name: text})

    assert [field.field for field in caught.value.fields] == [name]


@pytest.mark.parametrize("name", ["since", "until"])
def test_a_time_whose_plus_sign_became_a_blank_is_explained(name: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_query(CONTOSO, dict(parse_qsl(f"{name}=2026-11-23T06:00:00+01:00")))

    assert "%2B" in caught.value.fields[0].message


@pytest.mark.parametrize(
    "name", ["a b", "a#b", "a/b", "a%2Fb", "\u202ea", "m-1\n", "x" * 201, "x" * 7000, ""]
)
def test_an_invalid_id_is_not_looked_up(name: str) -> None:
    services = FakeServices()
    services.deliveries.find = None  # type: ignore[method-assign, assignment]

    for operation in (read_delivery, retry_delivery):
        with pytest.raises(NotFoundError):
            operation(a_request(route={"message_id": name}), ADMIN, services)
