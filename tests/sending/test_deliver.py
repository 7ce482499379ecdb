"""The delivery of one queued message, with fakes in memory."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from shared.deliveries.requeue import next_attempt_message, requeue_message
from shared.deliveries.status import DeliveryStatus
from shared.errors import (
    ConfigurationError,
    ConsentRequiredError,
    OutcomeUnknownError,
    PreconditionFailedError,
    RejectedError,
    TokenRefusedError,
    TransientError,
)
from shared.mail.message import parse_mail_request
from shared.sending.attempt import first_row
from shared.sending.deliver import deliver
from shared.sending.errors import ThrottledError
from shared.settings.tenant import ActiveProblem, Status
from tests.builders import a_file, a_message, enabled_services
from tests.fakes import CONTOSO, NOON, FakeServices

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.sending.ports import SendingServices

MESSAGE_ID = "sales-weekly:2026-11-23T06:00Z:emea"


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


def row(services: FakeServices, message_id: str = MESSAGE_ID) -> Delivery:
    found = services.deliveries.find(CONTOSO, message_id)
    assert found is not None
    return found


def code(services: FakeServices) -> str | None:
    problem = row(services).problem
    return problem.code if problem else None


def sent(services: FakeServices) -> list[dict[str, Any]]:
    return [json.loads(body)["message"] for _, _, body in services.transport.sent]


def claim_for(services: FakeServices, queue_id: str, **changes: Any) -> None:
    """Add the row of a worker that is sending."""
    request = parse_mail_request(a_message())
    held = first_row(request, services.system.now()).with_claim(queue_id, services.system.now())
    services.deliveries.add(replace(held, **changes))


def test_a_mail_is_sent_and_its_row_has_status_accepted(services: FakeServices) -> None:
    deliver(a_message(), "q-1", services)

    assert sent(services)[0]["subject"] == "Weekly sales, EMEA"
    delivery = row(services)
    assert delivery.status is DeliveryStatus.ACCEPTED
    assert delivery.from_address == "ada@contoso.com"
    assert delivery.history[-1].request_id == "graph-request-1"
    assert (delivery.recipients.to, delivery.recipients.domains) == (1, ("contoso.com",))


def test_a_mail_that_comes_twice_is_sent_once(services: FakeServices) -> None:
    deliver(a_message(), "q-1", services)
    deliver(a_message(correlationId="fired again"), "q-2", services)

    assert len(services.transport.sent) == 1
    assert not services.outbox.messages


def test_other_content_under_a_used_id_is_a_conflict_and_not_sent(services: FakeServices) -> None:
    deliver(a_message(), "q-1", services)
    deliver(a_message(subject="Something else"), "q-2", services)

    assert len(services.transport.sent) == 1
    assert row(services).status is DeliveryStatus.ACCEPTED
    assert row(services).history[-1].code == "message_conflict"


def test_an_invalid_message_is_recorded_with_its_fields(services: FakeServices) -> None:
    deliver(a_message(subject=None, body=None), "q-1", services)

    assert row(services).status is DeliveryStatus.INVALID
    assert [field.field for field in row(services).fields] == ["subject", "body"]
    assert not services.transport.sent


def test_a_corrected_message_is_sent_under_the_same_id(services: FakeServices) -> None:
    deliver(a_message(subject=None), "q-1", services)
    deliver(a_message(), "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert row(services).fields == ()


def test_a_second_invalid_message_does_not_change_the_first_row(services: FakeServices) -> None:
    deliver(a_message(), "q-1", services)
    deliver(a_message(subject=None), "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED


@pytest.mark.parametrize("text", [b"", b"not json", b"[]", b'{"messageId": "a/b"}', b"\xff"])
def test_a_message_without_a_usable_name_is_recorded_under_its_queue_id(
    services: FakeServices, text: bytes
) -> None:
    deliver(text, "q-7", services)

    assert row(services, "unreadable-q-7").status is DeliveryStatus.INVALID


def test_the_mail_of_an_unserved_tenant_waits_for_the_operator(services: FakeServices) -> None:
    stranger = "6f1c0000-0000-4000-8000-00000000dead"
    deliver(a_message(tenantId=stranger), "q-1", services)

    found = services.deliveries.find(stranger, MESSAGE_ID)
    assert found is not None
    assert found.status is DeliveryStatus.WAITING_FOR_OPERATOR
    assert services.requests.load(stranger, MESSAGE_ID) == a_message(tenantId=stranger)


def test_a_mail_that_another_worker_is_sending_waits(services: FakeServices) -> None:
    claim_for(services, "q-1")
    deliver(a_message(), "q-2", services)

    assert not services.transport.sent
    assert services.outbox.messages == [(a_message(), timedelta(seconds=30))]
    assert row(services).claimed_by == "q-1"


def test_a_claim_that_ran_out_counts_as_interrupted(services: FakeServices) -> None:
    claim_for(services, "q-1")
    services.system.pass_time(timedelta(minutes=12))
    deliver(a_message(), "q-2", services)

    assert row(services).status is DeliveryStatus.UNKNOWN


def test_a_worker_that_crashed_while_sending_leaves_an_unknown_outcome(services: FakeServices) -> None:
    claim_for(services, "q-1")
    deliver(a_message(), "q-1", services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert code(services) == "outcome_unknown"
    assert not services.transport.sent
    assert services.requests.load(CONTOSO, MESSAGE_ID) == a_message()


def test_a_response_that_never_came_is_not_repeated_automatically(services: FakeServices) -> None:
    services.transport.fail = [OutcomeUnknownError("outcome_unknown", request_id="g-1")]
    deliver(a_message(), "q-1", services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert row(services).history[-1].request_id == "g-1"
    assert not services.outbox.messages


def test_a_mail_waits_for_a_consent_and_is_sent_after_it() -> None:
    services = FakeServices()
    deliver(a_message(), "q-1", services)
    assert (row(services).status, code(services)) == (DeliveryStatus.WAITING_FOR_CONSENT, "consent_missing")

    enabled = enabled_services()
    services.settings, services.vault, services.tokens = enabled.settings, enabled.vault, enabled.tokens
    deliver(requeue_message(CONTOSO, MESSAGE_ID), "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert services.requests.load(CONTOSO, MESSAGE_ID) is None


def test_a_throttled_mail_is_retried_after_retry_after_of_graph(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable", retry_after=timedelta(seconds=2.128))]
    deliver(a_message(), "q-1", services)

    message, delay = services.outbox.messages[0]
    assert message == next_attempt_message(services.deliveries.rows[CONTOSO, MESSAGE_ID])
    assert delay == timedelta(seconds=2.128)
    assert row(services).status is DeliveryStatus.DEFERRED
    assert row(services).next_attempt_at == NOON + delay

    services.system.pass_time(delay)
    deliver(message, "q-2", services)
    assert (row(services).status, row(services).attempt) == (DeliveryStatus.ACCEPTED, 2)


def test_a_mail_that_was_delayed_for_a_day_expires(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")] * 40
    deliver(a_message(), "q-1", services)
    for hour in range(24):
        assert row(services).status is DeliveryStatus.DEFERRED
        services.system.pass_time(timedelta(hours=1))
        deliver(services.outbox.messages[-1][0], f"q-{hour}", services)

    assert (row(services).status, code(services)) == (DeliveryStatus.EXPIRED, "expired")
    assert len(services.outbox.messages) == 24
    assert services.requests.load(CONTOSO, MESSAGE_ID) == a_message()


def test_downtime_of_the_app_does_not_count_towards_the_24_hours_of_a_mail(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")] * 4
    deliver(a_message(), "q-1", services)
    services.system.pass_time(timedelta(days=3))
    for number in range(3):
        deliver(services.outbox.messages[-1][0], f"q-{number}", services)
        assert row(services).status is DeliveryStatus.DEFERRED
        services.system.pass_time(timedelta(hours=1))
    deliver(services.outbox.messages[-1][0], "q-9", services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_mail_is_not_sent_after_it_expired(services: FakeServices) -> None:
    deliver(a_message(expiresAt="2026-11-23T12:00:00Z"), "q-1", services)

    assert row(services).status is DeliveryStatus.EXPIRED
    assert not services.transport.sent


def test_a_token_that_graph_refuses_once_is_replaced(services: FakeServices) -> None:
    services.transport.fail = [TokenRefusedError("token_refused", error="e")]
    deliver(a_message(), "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert [token for token, _, _ in services.transport.sent] == ["access-2"]


def test_tokens_refused_three_times_are_an_operator_error(
    services: FakeServices,
) -> None:
    refused = TokenRefusedError("token_refused", error="e")
    services.transport.fail = [refused] * 6
    deliver(a_message(), "q-1", services)
    seen = [(row(services).status, services.settings.load(CONTOSO).status)]
    for number in (2, 3):
        message, delay = services.outbox.messages.pop()
        services.system.pass_time(delay)
        deliver(message, f"q-{number}", services)
        seen.append((row(services).status, services.settings.load(CONTOSO).status))

    assert seen == [
        (DeliveryStatus.DEFERRED, Status.ENABLED),
        (DeliveryStatus.DEFERRED, Status.ENABLED),
        (DeliveryStatus.WAITING_FOR_OPERATOR, Status.OPERATOR_ERROR),
    ]


def test_the_claims_that_graph_requests_are_passed_to_entra(services: FakeServices) -> None:
    services.transport.fail = [TokenRefusedError("token_refused", claims='{"access_token":{}}', error="e")]
    deliver(a_message(), "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert services.authorizer.claims_wanted == [None, '{"access_token":{}}']


def test_an_unknown_outcome_names_the_mailbox_that_holds_the_copy(services: FakeServices) -> None:
    services.transport.fail = [OutcomeUnknownError("outcome_unknown")]
    deliver(a_message(), "q-1", services)
    services.transport.fail = [OutcomeUnknownError("outcome_unknown")]
    deliver(a_message(messageId="m-2", saveToSentItems=False), "q-2", services)

    kept = row(services).problem
    unkept = services.deliveries.rows[CONTOSO, "m-2"].problem
    assert kept
    assert unkept
    assert "in the mailbox ada@contoso.com" in kept.problem.detail
    assert "use the message trace" in unkept.problem.detail


def test_a_temporary_token_refusal_of_graph_stops_no_other_mail(services: FakeServices) -> None:
    refused = TokenRefusedError("token_refused", error="e")
    services.transport.fail = [refused] * 4
    deliver(a_message(), "q-1", services)
    for number in (2, 3):
        message, delay = services.outbox.messages.pop()
        services.system.pass_time(delay)
        deliver(message, f"q-{number}", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert services.settings.load(CONTOSO).problem is None


def test_a_refused_token_shortly_before_expiry_stops_no_other_mail(services: FakeServices) -> None:
    services.transport.fail = [TokenRefusedError("token_refused", error="e")] * 2
    deliver(a_message(expiresAt="2026-11-23T12:00:05Z"), "q-1", services)

    assert row(services).status is DeliveryStatus.EXPIRED
    assert services.settings.load(CONTOSO).problem is None


def test_a_container_that_refuses_the_app_stops_no_mail_without_files(services: FakeServices) -> None:
    class DeniedFiles:
        def find(self, path: str) -> int:
            raise ConfigurationError("storage_denied", service="blobs")

    services.files = DeniedFiles()  # type: ignore[assignment]
    deliver(a_message(attachments=[a_file("a.pdf")]), "q-1", services)
    deliver(a_message(messageId="m-2"), "q-2", services)

    assert row(services).status is DeliveryStatus.WAITING_FOR_OPERATOR
    assert services.deliveries.rows[CONTOSO, "m-2"].status is DeliveryStatus.ACCEPTED
    assert services.settings.load(CONTOSO).status is Status.ENABLED


def test_entra_ending_a_consent_is_believed_at_once(services: FakeServices) -> None:
    services.authorizer.fail = [ConsentRequiredError("consent_lost", account="a", error="invalid_grant")]
    deliver(a_message(), "q-1", services)

    assert row(services).status is DeliveryStatus.WAITING_FOR_CONSENT
    assert services.settings.load(CONTOSO).status is Status.RECONNECT_NEEDED


def test_the_apps_own_credential_failing_is_an_operator_error(services: FakeServices) -> None:
    services.authorizer.fail = [ConfigurationError("client_credential_refused", error="invalid_client")]
    deliver(a_message(), "q-1", services)

    assert row(services).status is DeliveryStatus.WAITING_FOR_OPERATOR
    assert services.settings.load(CONTOSO).status is Status.OPERATOR_ERROR
    assert services.requests.load(CONTOSO, MESSAGE_ID) == a_message()


def test_a_mail_that_microsoft_refuses_is_recorded_with_the_reason(services: FakeServices) -> None:
    services.transport.fail = [
        RejectedError(
            "send_as_denied", graph_code="ErrorSendAsDenied", account="ada", address="x@contoso.com"
        )
    ]
    deliver(a_message(), "q-1", services)

    assert (row(services).status, code(services)) == (DeliveryStatus.REJECTED, "send_as_denied")
    assert services.requests.load(CONTOSO, MESSAGE_ID) == a_message()


def test_files_are_read_from_the_message_and_from_blobs(services: FakeServices) -> None:
    services.files.blobs = {
        f"{CONTOSO}/sales.pdf": b"%PDF-1.7",
        f"{CONTOSO}/body.html": "<p>Größe</p>".encode(),
    }
    files = [
        {"name": "sales.pdf", "contentType": "application/pdf", "blob": f"{CONTOSO}/sales.pdf"},
        {
            "name": "c.png",
            "contentType": "image/png",
            "contentBytes": base64.b64encode(b"\x89PNG").decode(),
            "contentId": "c1",
            "inline": True,
        },
    ]
    deliver(
        a_message(attachments=files, body={"contentType": "html", "blob": f"{CONTOSO}/body.html"}),
        "q-1",
        services,
    )

    message = sent(services)[0]
    assert message["body"]["content"] == "<p>Größe</p>"
    assert [base64.b64decode(file["contentBytes"]) for file in message["attachments"]] == [
        b"%PDF-1.7",
        b"\x89PNG",
    ]


def test_a_missing_file_is_reported_by_name(services: FakeServices) -> None:
    files = [{"name": "a.pdf", "contentType": "application/pdf", "blob": f"{CONTOSO}/a.pdf"}]
    deliver(a_message(attachments=files), "q-1", services)

    assert (row(services).status, code(services)) == (DeliveryStatus.DEFERRED, "attachment_not_found")
    assert row(services).problem.params["blob"] == f"{CONTOSO}/a.pdf"  # type: ignore[union-attr]


def test_a_mail_too_large_for_the_permission_is_refused_before_file_reads(
    services: FakeServices,
) -> None:
    services.files.blobs = {f"{CONTOSO}/big.pdf": bytes(3_100_000)}
    files = [{"name": "big.pdf", "contentType": "application/pdf", "blob": f"{CONTOSO}/big.pdf"}]
    deliver(a_message(attachments=files), "q-1", services)

    assert (row(services).status, code(services)) == (DeliveryStatus.REJECTED, "large_file_attachments_off")
    assert not services.files.reads
    assert not services.authorizer.refreshed


def test_unavailable_storage_delays_the_mail(services: FakeServices) -> None:
    class UnavailableFiles:
        def find(self, path: str) -> int:
            raise TransientError("storage_unavailable", service="blobs")

    services.files = UnavailableFiles()  # type: ignore[assignment]
    files = [{"name": "a.pdf", "contentType": "application/pdf", "blob": f"{CONTOSO}/a.pdf"}]
    deliver(a_message(attachments=files), "q-1", services)

    assert row(services).status is DeliveryStatus.DEFERRED


def test_a_row_that_vanishes_between_two_reads_is_retried(services: FakeServices) -> None:
    services.deliveries.add = lambda _: None  # type: ignore[method-assign,assignment]
    deliver(a_message(), "q-1", services)

    ((again, _),) = services.outbox.messages
    assert again.startswith(b'{"repeated":')


def test_of_two_workers_that_claim_at_once_the_second_waits(services: FakeServices) -> None:
    deliver(a_message(subject=None), "q-1", services)
    services.deliveries.save = lambda _: None  # type: ignore[method-assign,assignment]
    deliver(a_message(), "q-2", services)

    assert not services.transport.sent
    assert len(services.outbox.messages) == 1


def test_an_outcome_over_a_lost_claim_is_left_to_the_one_that_took_it(services: FakeServices) -> None:
    services.deliveries.save = lambda _: None  # type: ignore[method-assign,assignment]
    deliver(a_message(), "q-1", services)

    assert row(services).status is DeliveryStatus.SENDING


def test_settings_that_change_all_the_time_do_not_hide_what_went_wrong(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    def conflict(_: object) -> Any:
        raise PreconditionFailedError("settings_changed")

    services.settings.save = conflict  # type: ignore[method-assign,assignment]
    services.authorizer.fail = [ConsentRequiredError("consent_lost", account="a", error="e")] * 2
    deliver(a_message(), "q-1", services)

    assert (row(services).status, code(services)) == (DeliveryStatus.WAITING_FOR_CONSENT, "consent_lost")
    assert services.requests.load(CONTOSO, MESSAGE_ID)
    assert "settings_changed" in caplog.text


def test_a_problem_already_in_the_settings_is_not_written_again(services: FakeServices) -> None:
    lost = [ConsentRequiredError("consent_lost", account="a", error="e")] * 2
    settings = services.settings.load(CONTOSO)
    recorded = ActiveProblem("consent_lost", NOON - timedelta(hours=1), {"account": "a", "error": "e"})
    before = services.settings.save(replace(settings, problem=recorded))
    services.authorizer.fail = list(lost)
    deliver(a_message(), "q-1", services)

    assert services.settings.load(CONTOSO) == before


def test_the_expiry_time_is_stated_in_utc(services: FakeServices) -> None:
    deliver(a_message(expiresAt="2026-11-23T13:30:00+02:00"), "q-1", services)

    assert row(services).problem.params == {"moment": "2026-11-23 11:30 UTC"}  # type: ignore[union-attr]


def test_a_name_that_is_no_text_is_no_name(services: FakeServices) -> None:
    deliver(b'{"tenantId": null, "messageId": null}', "q-7", services)
    deliver(b'{"messageId": 12}', "q-8", services)

    assert {message_id for _, message_id in services.deliveries.rows} == {"unreadable-q-7", "unreadable-q-8"}


def test_an_invalid_message_with_half_a_character_is_recorded(services: FakeServices) -> None:
    deliver(a_message(subject=None, correlationId="\ud800"), "q-7", services)

    assert (row(services).status, row(services).correlation_id) == (DeliveryStatus.INVALID, None)


def test_occasional_refusals_are_counted_separately_from_throttling(services: FakeServices) -> None:
    unavailable = [TransientError("graph_unavailable")] * 3
    refused = RejectedError("recipients_refused", graph_code="ErrorInvalidRecipients", confirm_after=3)
    services.transport.fail = [*unavailable, refused, refused, refused]
    deliver(a_message(), "q-0", services)
    statuses = []
    for number in range(1, 6):
        message, delay = services.outbox.messages.pop(0)
        services.system.pass_time(delay)
        deliver(message, f"q-{number}", services)
        statuses.append(row(services).status)

    assert statuses == [DeliveryStatus.DEFERRED] * 4 + [DeliveryStatus.REJECTED]


class WithoutSettings:
    """A deployment without settings: a service that needs one raises."""

    def __init__(self, services: FakeServices) -> None:
        self._services = services

    def __getattr__(self, name: str) -> Any:
        if name in {"allowed_tenants", "resends_unknown", "message_limit_mb", "config", "home_tenant"}:
            raise ConfigurationError("setting_missing", setting="API_AUDIENCE")
        return getattr(self._services, name)


def test_a_mail_is_kept_while_all_settings_except_storage_are_wrong() -> None:
    services = enabled_services()
    deliver(a_message(), "q-1", cast("SendingServices", WithoutSettings(services)))

    assert (row(services).status, code(services)) == (
        DeliveryStatus.WAITING_FOR_OPERATOR,
        "setting_missing",
    )
    assert services.requests.load(CONTOSO, MESSAGE_ID) == a_message()
    assert not services.transport.sent


@pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=1)])
def test_a_clock_that_is_set_back_lengthens_no_pause_of_a_mailbox(
    services: FakeServices, back: timedelta
) -> None:
    wait = timedelta(seconds=20)
    services.transport.fail = [ThrottledError(retry_after=wait, address="a")]
    deliver(a_message(), "q-1", services)
    services.system.set_clock(-back)
    services.system.pass_time(timedelta(seconds=30))
    deliver(a_message(messageId="m-2"), "q-2", services)

    assert row(services, "m-2").status is DeliveryStatus.ACCEPTED


def test_a_pause_start_from_a_clock_ahead_counts_no_negative_time(
    services: FakeServices,
) -> None:
    deliver(a_message(), "q-1", services)
    ahead = replace(row(services), paused_since=services.system.now() + timedelta(days=1))

    assert ahead.total_pause(services.system.now()) == timedelta(0)
