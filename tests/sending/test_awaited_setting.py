"""A mail blocked by a setting waits until the setting changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.api.deliveries import retry_delivery
from shared.deliveries.delivery import Delivery
from shared.deliveries.status import DeliveryStatus
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.sending.poison import record_poisoned
from shared.settings.tenant import ActiveProblem
from tests.api_client import call
from tests.builders import a_file, a_message, large_file_services
from tests.fakes import CONTOSO, FABRIKAM, NOON, FakeServices

if TYPE_CHECKING:
    from collections.abc import Callable

WAITING, ACCEPTED = DeliveryStatus.WAITING_FOR_OPERATOR, DeliveryStatus.ACCEPTED
LARGE = a_message(messageId="m-1", attachments=[a_file("large.bin")])
OUTSIDE = a_message(messageId="m-1", attachments=[a_file("plan.pdf", blob="reports/plan.pdf")])


def large(services: FakeServices) -> None:
    services.configure(mailbox_message_limit_mb=1)


def several_tenants(services: FakeServices) -> None:
    services.configure(allowed_tenant_ids=frozenset({CONTOSO, FABRIKAM}))


def raised(services: FakeServices) -> None:
    services.configure(mailbox_message_limit_mb=6)


def one_tenant(services: FakeServices) -> None:
    services.configure(allowed_tenant_ids=frozenset({CONTOSO}))


CASES = [
    (LARGE, large, raised, "message_too_large"),
    (OUTSIDE, several_tenants, one_tenant, "files_outside_folder"),
]
cases = pytest.mark.parametrize(("mail", "wrong", "corrected", "code"), CASES)


@pytest.fixture
def services() -> FakeServices:
    services = large_file_services()
    services.configure(allowed_tenant_ids=frozenset({CONTOSO}))
    services.files.blobs[f"{CONTOSO}/large.bin"] = bytes(4_000_000)
    services.files.blobs["reports/plan.pdf"] = b"plan"
    return services


def row(services: FakeServices) -> Delivery:
    return services.deliveries.rows[CONTOSO, "m-1"]


def code_of(services: FakeServices) -> str | None:
    problem = row(services).problem
    return problem.code if problem else None


def deliver_next(services: FakeServices) -> None:
    """Work on the oldest message in the queue, at its time."""
    text, delay = services.outbox.messages.pop(0)
    services.system.pass_time(delay)
    deliver(text, "q-next", services)


@cases
def test_a_mail_waits_for_the_operator_until_the_setting_is_corrected(
    services: FakeServices,
    mail: bytes,
    wrong: Callable[[FakeServices], None],
    corrected: Callable[[FakeServices], None],
    code: str,
) -> None:
    wrong(services)
    deliver(mail, "q-1", services)
    assert (row(services).status, code_of(services)) == (WAITING, code)
    services.system.pass_time(timedelta(days=30))
    release_all(services)
    assert services.outbox.messages == []
    assert row(services).status is WAITING

    corrected(services)
    release_all(services)
    deliver_next(services)
    assert row(services).status is ACCEPTED


@cases
def test_its_scheduler_replaces_it_by_another_mail_under_its_id(
    services: FakeServices,
    mail: bytes,
    wrong: Callable[[FakeServices], None],
    corrected: Callable[[FakeServices], None],
    code: str,
) -> None:
    wrong(services)
    deliver(mail, "q-1", services)
    deliver(a_message(messageId="m-1", subject="Smaller"), "q-2", services)

    assert row(services).status is ACCEPTED
    assert services.requests.kept == {}
    assert len(services.transport.sent) == 1


@cases
def test_an_admin_can_retry_it(
    services: FakeServices,
    mail: bytes,
    wrong: Callable[[FakeServices], None],
    corrected: Callable[[FakeServices], None],
    code: str,
) -> None:
    wrong(services)
    deliver(mail, "q-1", services)
    corrected(services)

    assert call(retry_delivery, services, route={"message_id": "m-1"}).status == 202
    deliver_next(services)
    assert row(services).status is ACCEPTED


def test_its_own_deadline_ends_it(services: FakeServices) -> None:
    large(services)
    expires = (NOON + timedelta(hours=1)).isoformat()
    deliver(a_message(messageId="m-1", attachments=[a_file("large.bin")], expiresAt=expires), "q-1", services)
    services.system.pass_time(timedelta(hours=2))
    raised(services)
    release_all(services)
    deliver_next(services)

    assert row(services).status is DeliveryStatus.EXPIRED


def test_mails_that_wait_for_a_setting_hold_up_no_others(services: FakeServices) -> None:
    problem = ActiveProblem("message_too_large", NOON, {"needed": "40"})
    waiting = Delivery(CONTOSO, "", WAITING, NOON, NOON, NOON, problem=problem)
    for number in range(200):
        services.deliveries.add(replace(waiting, message_id=f"large-{number}"))
    services.deliveries.add(replace(waiting, message_id="other", problem=None))
    release_all(services)

    assert [text for text, _ in services.outbox.messages if b"other" in text]
    assert len(services.outbox.messages) == 1


@pytest.mark.parametrize("facts", [{}, {"needed": "many"}, {"needed": "35"}])
def test_a_mail_whose_problem_names_no_size_is_tried_again(
    services: FakeServices, facts: dict[str, str]
) -> None:
    problem = ActiveProblem("message_too_large", NOON, facts)
    services.deliveries.add(Delivery(CONTOSO, "m-1", WAITING, NOON, NOON, NOON, problem=problem))
    release_all(services)

    assert len(services.outbox.messages) == 1


@pytest.mark.parametrize(
    ("text", "subject"), [(LARGE, None), (a_message(messageId="m-1", subject="New"), "New")]
)
def test_a_poisoned_message_replaces_a_waiting_mail_only_if_it_differs(
    services: FakeServices, text: bytes, subject: str | None
) -> None:
    large(services)
    deliver(LARGE, "q-1", services)
    record_poisoned(text, "p-1", services)

    assert row(services).status is WAITING
    assert code_of(services) == ("mail_poisoned" if subject else "message_too_large")
    kept = services.requests.load(CONTOSO, "m-1")
    assert kept is not None
    assert (b"New" in kept) is (subject is not None)
