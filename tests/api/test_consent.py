import logging
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.api import consent
from shared.caller import Caller
from shared.deliveries.delivery import Delivery
from shared.deliveries.status import DeliveryStatus
from shared.errors import NotFoundError, TransientError
from tests.api_client import a_request, call, complete_consent, content, enable, finish, open_start_link
from tests.fakes import FABRIKAM, FakeServices, FakeSystem, MemoryDeliveries


@pytest.fixture
def ports() -> FakeServices:
    return FakeServices()


def test_a_pending_consent_shows_what_it_waits_for(ports: FakeServices) -> None:
    window = enable(ports)

    reply = call(consent.read_flow, ports, route={"flow_id": window.flow_id})

    assert content(reply) == {
        "flowId": window.flow_id,
        "status": "pending",
        "stage": "link_not_opened",
        "expiresAt": "2026-11-23T12:10:00Z",
        "problem": None,
    }


class RealIds(FakeSystem):
    """Names consents as the app does, with letters."""

    def new_id(self) -> str:
        return str(uuid.uuid4())


def test_the_case_of_a_consents_id_does_not_count(ports: FakeServices) -> None:
    ports.system = RealIds()
    window = enable(ports)
    in_capitals = replace(window, flow_id=window.flow_id.upper())

    found = content(call(consent.read_flow, ports, route={"flow_id": in_capitals.flow_id}))
    page = consent.result(a_request(query={"flow": in_capitals.flow_id}), ports)
    started = open_start_link(in_capitals, ports)

    assert found["flowId"] == window.flow_id
    assert window.flow_id.encode() in page.body
    assert started.state.startswith(f"{window.flow_id}.")


@pytest.mark.parametrize("flow_id", ["00000000-0000-4000-8000-000000000077", "nonsense"])
def test_an_unknown_consent_is_not_found(ports: FakeServices, flow_id: str) -> None:
    with pytest.raises(NotFoundError):
        call(consent.read_flow, ports, route={"flow_id": flow_id})


def test_another_tenants_consent_is_not_found(ports: FakeServices) -> None:
    window = enable(ports)
    stranger = Caller(FABRIKAM, "mallory-object-id", "mallory@fabrikam.com")

    with pytest.raises(NotFoundError):
        call(consent.read_flow, ports, caller=stranger, route={"flow_id": window.flow_id})


def test_a_failed_consent_shows_what_to_do(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)
    finish(window, ports, code="", error="access_denied")

    shown = content(call(consent.read_flow, ports, route={"flow_id": window.flow_id}))

    assert shown["status"] == "declined"
    assert shown["problem"]["whoActs"] == "workspace_admin"


def test_the_stage_follows_the_window_and_ends_with_the_consent(ports: FakeServices) -> None:
    def stage() -> str | None:
        found: str | None = content(call(consent.read_flow, ports, route=route))["stage"]
        return found

    window = enable(ports)
    route = {"flow_id": window.flow_id}
    window = open_start_link(window, ports)
    assert stage() == "at_microsoft"

    finish(window, ports)
    assert stage() is None


@pytest.mark.parametrize(
    ("was_opened", "code", "detail"),
    [
        (False, "consent_link_expired", "No request was sent to Microsoft"),
        (True, "consent_expired", "Microsoft did not answer within ten minutes"),
    ],
)
def test_an_expired_consent_shows_what_it_waited_for(
    ports: FakeServices, *, was_opened: bool, code: str, detail: str
) -> None:
    window = enable(ports)
    if was_opened:
        open_start_link(window, ports)
    ports.system.pass_time(timedelta(minutes=10))

    shown = content(call(consent.read_flow, ports, route={"flow_id": window.flow_id}))

    assert (shown["status"], shown["problem"]["code"]) == ("expired", code)
    assert detail in shown["problem"]["detail"]


class WaitingLog(MemoryDeliveries):
    """A delivery log that records each query for waiting mails."""

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__()
        self.looked_for: list[DeliveryStatus] = []
        self.failure = failure

    def list_pending(
        self, tenant_id: str, statuses: Iterable[DeliveryStatus], limit: int
    ) -> tuple[Delivery, ...]:
        self.looked_for += statuses
        if self.failure:
            raise self.failure
        return super().list_pending(tenant_id, statuses, limit)


def test_a_consent_releases_the_mail_that_waited_for_it(ports: FakeServices) -> None:
    log = ports.deliveries = WaitingLog()

    finish(open_start_link(enable(ports), ports), ports)

    assert DeliveryStatus.WAITING_FOR_CONSENT in log.looked_for


def test_a_declined_consent_releases_nothing(ports: FakeServices) -> None:
    log = ports.deliveries = WaitingLog()

    finish(open_start_link(enable(ports), ports), ports, code="", error="access_denied")

    assert log.looked_for == []


def test_mail_that_can_not_be_released_now_does_not_spoil_the_consent(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    ports.deliveries = WaitingLog(TransientError("storage_unavailable", service="tables"))

    with caplog.at_level(logging.INFO):
        reply = finish(open_start_link(enable(ports), ports), ports)

    assert "flow=" in reply.headers["Location"]
    assert "storage_unavailable" in caplog.text


def test_a_repeated_or_forged_callback_releases_no_mail(ports: FakeServices) -> None:
    window = complete_consent(ports)
    log = ports.deliveries = WaitingLog()

    consent.finish(a_request(f"state={window.flow_id}.anything".encode()), ports)
    finish(window, ports)

    assert log.looked_for == []
