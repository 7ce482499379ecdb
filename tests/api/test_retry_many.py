"""Many mails in one call: each under the rules of a single retry."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.api.limits import check_size
from shared.api.openapi.deliveries import RETRY_MANY
from shared.api.problem_details import UnforeseenError
from shared.api.retry_many import retry_deliveries
from shared.deliveries.delivery import Delivery
from shared.deliveries.retry import REFUSAL_CODES
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, InvalidInputError, TransientError
from shared.mail.message import parse_mail_request
from shared.sending.deliver import deliver
from tests.api_client import call, content
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO, NOON, FakeServices

HOUR = timedelta(hours=1)


def add(services: FakeServices, message_id: str, status: str, at: datetime) -> None:
    text = a_message(messageId=message_id)
    fingerprint = parse_mail_request(text).fingerprint()
    services.deliveries.add(
        Delivery(CONTOSO, message_id, DeliveryStatus(status), at, at, at, fingerprint=fingerprint)
    )
    services.requests.save(CONTOSO, message_id, text)


def rows(*statuses: str) -> FakeServices:
    """Mails `m-0`, `m-1` and so on, each queued an hour after the one before."""
    services = enabled_services()
    for number, status in enumerate(statuses):
        add(services, f"m-{number}", status, NOON + number * HOUR)
    services.system.pass_time(len(statuses) * HOUR)
    return services


def retry(services: FakeServices, **body: Any) -> tuple[list[tuple[str, str | None]], str | None]:
    """Retry, and return each mail's problem code, and the continuation token."""
    reply = call(retry_deliveries, services, body)
    found = content(reply)
    assert reply.status == 202
    for each in found["results"]:
        assert each["retried"] is (each["problem"] is None) is (each["nextAttemptAt"] is not None)
    codes = [(each["messageId"], (each["problem"] or {}).get("code")) for each in found["results"]]
    return codes, found["continuationToken"]


def refused_fields(services: FakeServices, **body: Any) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as caught:
        call(retry_deliveries, services, body)
    assert caught.value.code == "invalid_request"
    assert not services.outbox.messages
    return {field.field: field.message for field in caught.value.fields}


def test_each_id_has_its_result_and_a_bad_one_fails_no_other() -> None:
    services = rows("rejected", "accepted", "deferred", "invalid", "expired")
    del services.requests.kept[CONTOSO, "m-4"]
    add(services, "m-9", "expired", NOON)

    assert retry(services, messageIds=["m-1", "no/id", "m-0", "m-2", "m-3", "m-4", "m-8", "m-9"]) == (
        [
            ("m-1", "already_accepted"),
            ("no/id", "delivery_not_found"),
            ("m-0", None),
            ("m-2", "still_under_way"),
            ("m-3", "invalid_message"),
            ("m-4", "request_not_kept"),
            ("m-8", "delivery_not_found"),
            ("m-9", None),
        ],
        None,
    )
    for text, _ in list(services.outbox.messages):
        services.system.pass_time(timedelta(seconds=2))
        deliver(text, "q-1", services)
    for message_id in ("m-0", "m-9"):
        assert services.deliveries.rows[CONTOSO, message_id].status is DeliveryStatus.ACCEPTED


def test_the_mails_are_sent_at_the_pace_of_those_that_waited() -> None:
    services = rows("rejected", "accepted", "rejected", "rejected")
    retry(services, messageIds=["m-0", "m-1", "m-2", "m-3"])

    assert [delay.total_seconds() for _, delay in services.outbox.messages] == [0, 2, 4]
    row = services.deliveries.rows[CONTOSO, "m-3"]
    assert row.next_attempt_at == services.system.now() + timedelta(seconds=4)


def test_an_id_that_is_named_twice_is_retried_once() -> None:
    assert retry(rows("rejected"), messageIds=["m-0", "m-0"]) == ([("m-0", None)], None)


def test_a_status_and_a_period_name_the_mails_newest_first() -> None:
    services = rows(*["expired", "rejected"] * 3)
    since, until = NOON + HOUR, NOON + 5 * HOUR

    assert retry(services, status="rejected", since=since.isoformat(), until=until.isoformat()) == (
        [("m-3", None), ("m-1", None)],
        None,
    )
    assert retry(services, status="rejected", since=since.isoformat()) == ([("m-5", None)], None)


def test_a_period_of_more_than_500_mails_continues_by_its_token() -> None:
    services = rows(*["expired"] * 503)
    # The fake pages by number, so the rows stay as they are.
    services.requests.kept.clear()
    period = {"status": "expired", "since": NOON.isoformat()}
    first, token = retry(services, **period)
    rest, end = retry(services, **period, continuationToken=token)

    assert (len(first), len(rest), end) == (500, 3, None)
    assert rest[-1] == ("m-0", "request_not_kept")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"status": "give either messageIds, or status and since"}),
        ({"status": "expired"}, {"since": "is missing"}),
        (
            {"messageIds": ["m-0"], "status": "expired"},
            {"messageIds": "give either messageIds, or status and since"},
        ),
        ({"messageIds": []}, {"messageIds": "has fewer than 1 entries"}),
        ({"messageIds": ["m"] * 501}, {"messageIds": "has more than 500 entries"}),
        (
            {"status": "expired", "since": NOON.isoformat(), "continuationToken": "a"},
            {"continuationToken": "use the token of the previous response"},
        ),
    ],
)
def test_what_names_no_mails_is_refused_by_field(body: dict[str, Any], fields: dict[str, str]) -> None:
    assert refused_fields(rows("expired"), **body) == fields


@pytest.mark.parametrize("status", REFUSAL_CODES)
def test_a_state_whose_mails_cannot_be_retried_is_refused(status: DeliveryStatus) -> None:
    assert refused_fields(rows("expired"), status=status.value, since=NOON.isoformat()) == {
        "status": "mails in this state cannot be retried"
    }


def test_members_that_are_null_count_as_left_out() -> None:
    services = rows("expired")

    assert retry(services, messageIds=["m-0"], status=None, since=None, continuationToken=None)[0]


@pytest.mark.parametrize(
    "error", [TransientError("storage_unavailable", service="queues"), UnforeseenError()]
)
def test_storage_that_fails_for_one_mail_is_the_result_of_that_mail(error: Exception) -> None:
    services = rows("rejected", "rejected")
    load = services.requests.load

    def fails_once(tenant_id: str, message_id: str) -> bytes | None:
        if message_id == "m-0":
            raise error
        return load(tenant_id, message_id)

    services.requests.load = fails_once  # type: ignore[method-assign]

    assert retry(services, messageIds=["m-0", "m-1"])[0] == [
        ("m-0", error.code),  # type: ignore[attr-defined]
        ("m-1", None),
    ]


def test_a_long_call_lists_the_mails_that_it_did_not_reach() -> None:
    services = rows("rejected", "rejected", "rejected")
    load = services.requests.load

    def slow(tenant_id: str, message_id: str) -> bytes | None:
        services.system.pass_time(timedelta(seconds=40))
        return load(tenant_id, message_id)

    services.requests.load = slow  # type: ignore[method-assign]

    assert retry(services, messageIds=["m-0", "m-1", "m-2"])[0] == [
        ("m-0", None),
        ("m-1", None),
        ("m-2", "retry_not_reached"),
    ]
    assert services.deliveries.rows[CONTOSO, "m-2"].status is DeliveryStatus.REJECTED


def test_mails_of_another_installation_are_not_touched() -> None:
    services = rows("rejected")
    services.settings.foreign.add(CONTOSO)

    with pytest.raises(ConfigurationError, match="other_installation"):
        call(retry_deliveries, services, {"messageIds": ["m-0"]})


def test_500_of_the_longest_ids_fit_into_one_body() -> None:
    check_size(RETRY_MANY, "", json.dumps({"messageIds": ["m" * 200] * 500}, indent=2).encode())
