from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from shared.api import consent, settings
from shared.api.request import Response
from shared.consent.cookie import NAME
from shared.consent.directory_wait import MAX_WAITING
from shared.consent.errors import EntraUnavailableError
from shared.consent.ports import AuthFlow, TokenResponse
from shared.errors import ConfigurationError, ConsentRequiredError, ProblemError, TransientError
from tests.api_client import Window, a_request, call, content, enable, finish, open_start_link, read_settings
from tests.builders import list_senders
from tests.fakes import NOON, FakeEntra, FakeServices, FakeSystem

SEND = frozenset({"Mail.Send"})
BOTH = frozenset({"Mail.Send", "Mail.ReadWrite"})


@pytest.fixture
def ports() -> FakeServices:
    return FakeServices()


def replication_error(what: Any) -> ProblemError:
    error: ProblemError = ConfigurationError("app_registration_wrong", error="AADSTS700016")
    if what == "credential":
        error = ConfigurationError("client_credential_refused", error="AADSTS7000215")
    if what == "consent":
        error = ConsentRequiredError("consent_lost", account="ada@contoso.com", error="AADSTS65001")
    error.replicating = what
    return error


def flow_of(ports: FakeServices, window: Window) -> tuple[str, str | None, str | None]:
    found = content(call(consent.read_flow, ports, route={"flow_id": window.flow_id}))
    return found["status"], found["stage"], found["problem"]["code"] if found["problem"] else None


def with_large_files(ports: FakeServices, *later: frozenset[str] | Exception) -> Window:
    """Have Microsoft grant Mail.Send first and `later` at the next requests."""
    window = open_start_link(enable(ports, largeFileAttachments=True), ports)
    ports.authorizer.granted = SEND
    ports.authorizer.later = list(later)
    finish(window, ports)
    return window


def start_application_consent(ports: FakeServices, *later: frozenset[str] | Exception) -> Window:
    list_senders(ports, "ada@contoso.com")
    window = open_start_link(enable(ports, authorization="application", largeFileAttachments=True), ports)
    ports.authorizer.later = list(later)
    admin_consents(window, ports)
    return window


def admin_consents(window: Window, ports: FakeServices) -> Response:
    query = {"state": window.state, "admin_consent": "True"}
    headers = {"cookie": f"{NAME}={window.cookie}"}
    return consent.finish_admin_consent(a_request(query=query, headers=headers), ports)


def test_a_consent_that_shows_at_once_waits_for_nothing(ports: FakeServices) -> None:
    finish(open_start_link(enable(ports), ports), ports)

    assert ports.system.slept == []


def test_a_missing_scope_is_tested_again_with_the_refresh_token(ports: FakeServices) -> None:
    window = with_large_files(ports, SEND, SEND, BOTH)

    assert flow_of(ports, window) == ("completed", None, None)
    assert read_settings(ports)["permissions"] == ["Mail.ReadWrite", "Mail.Send"]
    assert ports.system.slept == [1, 2, 3]


def test_the_newest_tokens_are_stored(ports: FakeServices) -> None:
    with_large_files(ports, SEND, BOTH)

    (kept,) = ports.vault.secrets.values()
    assert kept.endswith("++")


@pytest.mark.parametrize(
    "passing", [replication_error("consent"), replication_error("app"), EntraUnavailableError()], ids=str
)
def test_a_request_with_a_temporary_refusal_is_repeated(ports: FakeServices, passing: ProblemError) -> None:
    window = with_large_files(ports, passing, BOTH)

    assert flow_of(ports, window) == ("completed", None, None)


def test_a_refusal_that_cannot_pass_ends_the_consent(ports: FakeServices) -> None:
    window = with_large_files(ports, ConsentRequiredError("sign_in_blocked", error="AADSTS53003"))

    assert flow_of(ports, window) == ("failed", None, "sign_in_blocked")
    assert ports.system.slept == [1]


def test_a_scope_that_is_still_missing_after_a_minute_counts(ports: FakeServices) -> None:
    ports.authorizer.granted = SEND

    window = with_large_files(ports)

    assert flow_of(ports, window) == ("failed", None, "permission_not_granted")
    assert 45 <= sum(ports.system.slept) <= 50
    assert ports.vault.secrets == {}


def test_slow_responses_of_microsoft_count_towards_the_minute(ports: FakeServices) -> None:
    class SlowEntra(FakeEntra):
        def refresh(self, *args: Any, **options: Any) -> Any:
            self.system.sleep(10)
            return super().refresh(*args, **options)

    ports.authorizer = SlowEntra(ports.system)

    with_large_files(ports)

    assert (ports.system.now() - NOON).total_seconds() <= 60


type FlowState = tuple[str, str | None, str | None]


@dataclass
class RecordingSystem(FakeSystem):
    """Records the state of the consent at each sleep."""

    seen: list[FlowState] = field(default_factory=list)
    look: Callable[[], FlowState] = lambda: ("", None, None)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.seen.append(self.look())


def test_the_page_shows_that_the_consent_is_being_confirmed(ports: FakeServices) -> None:
    system = ports.system = ports.authorizer.system = RecordingSystem()
    window = open_start_link(enable(ports, largeFileAttachments=True), ports)
    system.look = lambda: flow_of(ports, window)
    ports.authorizer.granted, ports.authorizer.later = SEND, [SEND, BOTH]

    finish(window, ports)

    assert system.seen == [("pending", "confirming", None)] * 2
    assert flow_of(ports, window) == ("completed", None, None)


def test_a_consent_is_not_expired_while_it_is_being_confirmed(ports: FakeServices) -> None:
    system = ports.system = ports.authorizer.system = RecordingSystem()
    window = open_start_link(enable(ports, largeFileAttachments=True), ports)
    system.look = lambda: flow_of(ports, window)
    system.sleep(9 * 60 + 59)
    system.seen.clear()
    ports.authorizer.granted = SEND

    finish(window, ports)

    assert set(system.seen) == {("pending", "confirming", None)}


def test_a_consent_does_not_expire_during_the_longest_retry_after_of_entra(ports: FakeServices) -> None:
    system = ports.system = ports.authorizer.system = RecordingSystem()
    window = open_start_link(enable(ports, largeFileAttachments=True), ports)
    system.look = lambda: flow_of(ports, window)
    system.sleep(9 * 60 + 59)
    system.seen.clear()
    ports.authorizer.granted = SEND
    ports.authorizer.later = [unavailable(110), BOTH]

    finish(window, ports)

    assert set(system.seen) == {("pending", "confirming", None)}
    assert flow_of(ports, window) == ("completed", None, None)


def test_a_reset_ends_the_waiting_at_once(ports: FakeServices) -> None:
    class ResettingSystem(FakeSystem):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            call(settings.reset_settings, ports)

    ports.system = ports.authorizer.system = ResettingSystem()

    window = with_large_files(ports)

    assert flow_of(ports, window) == ("failed", None, "consent_superseded")
    assert len(ports.system.slept) == 1


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("what", ["app", "credential"])
def test_a_code_is_redeemed_again_while_entra_does_not_know_the_app_yet(
    ports: FakeServices, what: str, times: int
) -> None:
    window = open_start_link(enable(ports), ports)
    ports.authorizer.fail = [replication_error(what) for _ in range(times)]

    finish(window, ports)

    assert flow_of(ports, window) == ("completed", None, None)
    assert len(ports.system.slept) == times


@pytest.mark.parametrize(
    "refusal",
    [replication_error("consent"), ConsentRequiredError("consent_code_used"), EntraUnavailableError()],
    ids=str,
)
def test_after_any_other_refusal_the_code_is_not_redeemed_again(
    ports: FakeServices, refusal: ProblemError
) -> None:
    redeemed: list[str] = []

    class RecordingEntra(FakeEntra):
        def redeem(self, tenant_id: str, auth_flow: AuthFlow, reply: Mapping[str, str]) -> TokenResponse:
            redeemed.append(reply["code"])
            return super().redeem(tenant_id, auth_flow, reply)

    ports.authorizer = RecordingEntra(ports.system)
    window = open_start_link(enable(ports), ports)
    ports.authorizer.fail = [refusal]

    finish(window, ports)

    assert len(redeemed) == 1
    assert flow_of(ports, window)[0] == "failed"


def test_an_app_that_entra_does_not_know_after_a_minute_is_reported(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)
    ports.authorizer.fail = [replication_error("app") for _ in range(100)]

    finish(window, ports)

    assert flow_of(ports, window) == ("failed", None, "consent_not_confirmed")


def test_a_credential_that_entra_refuses_for_a_minute_is_an_operator_error(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)
    ports.authorizer.fail = [replication_error("credential") for _ in range(100)]

    finish(window, ports)

    assert flow_of(ports, window) == ("failed", None, "client_credential_refused")
    assert 45 <= sum(ports.system.slept) <= 50


def test_roles_that_are_incomplete_are_tested_again(ports: FakeServices) -> None:
    window = start_application_consent(
        ports, frozenset(), SEND, replication_error("app"), replication_error("credential"), BOTH
    )

    assert flow_of(ports, window) == ("completed", None, None)
    assert ports.system.slept == [1, 2, 3, 4]


def unavailable(seconds: float | None = None) -> TransientError:
    return EntraUnavailableError(retry_after=None if seconds is None else timedelta(seconds=seconds))


def test_an_outage_while_roles_are_proven_is_waited_out(ports: FakeServices) -> None:
    window = start_application_consent(
        ports, unavailable(), unavailable(), replication_error("app"), unavailable(), BOTH
    )

    assert flow_of(ports, window) == ("completed", None, None)
    assert ports.system.slept == [1, 2, 3, 4]


def test_retry_after_from_entra_is_obeyed_before_roles_are_read_again(ports: FakeServices) -> None:
    window = start_application_consent(ports, unavailable(60), BOTH)

    assert flow_of(ports, window) == ("completed", None, None)
    assert ports.system.slept == [60]


def test_retry_after_from_entra_is_obeyed_before_scopes_are_read_again(ports: FakeServices) -> None:
    window = with_large_files(ports, unavailable(30), BOTH)

    assert flow_of(ports, window) == ("completed", None, None)
    assert ports.system.slept == [1, 30]


def test_an_outage_that_lasts_interrupts_the_consent_in_time_for_the_host(ports: FakeServices) -> None:
    window = start_application_consent(ports, *[unavailable()] * 100)

    assert flow_of(ports, window) == ("failed", None, "consent_interrupted")
    assert 45 <= sum(ports.system.slept) <= 50


@pytest.mark.parametrize(("retry_after", "tries"), [(60, 2), (110, 1), (3600, 0)])
def test_a_wait_that_does_not_fit_into_the_request_interrupts_the_consent(
    ports: FakeServices, retry_after: float, tries: int
) -> None:
    window = start_application_consent(ports, *[unavailable(retry_after)] * 100)

    assert flow_of(ports, window) == ("failed", None, "consent_interrupted")
    assert ports.system.slept == [retry_after] * tries


def test_no_permission_is_reported_missing_while_entra_is_unavailable(ports: FakeServices) -> None:
    window = with_large_files(ports, SEND, *[unavailable()] * 100)

    assert flow_of(ports, window) == ("failed", None, "consent_interrupted")


def test_roles_that_remain_incomplete_are_no_consent(ports: FakeServices) -> None:
    window = start_application_consent(ports, *[SEND] * 20)

    assert flow_of(ports, window) == ("failed", None, "permission_not_granted")


def test_a_token_that_still_has_no_role_is_accepted(ports: FakeServices) -> None:
    window = start_application_consent(ports, *[frozenset[str]()] * 20)

    assert flow_of(ports, window) == ("completed", None, None)
    assert 45 <= sum(ports.system.slept) <= 50


def test_only_a_few_callbacks_wait_at_a_time(ports: FakeServices) -> None:
    for _ in range(MAX_WAITING):
        ports.directory_waits.acquire()

    window = with_large_files(ports, BOTH)

    assert flow_of(ports, window) == ("failed", None, "consent_interrupted")
    assert ports.system.slept == []


def test_a_callback_that_waited_releases_its_place_for_the_next(ports: FakeServices) -> None:
    for _ in range(MAX_WAITING + 1):
        with_large_files(ports, BOTH)
        ports.authorizer.granted = None
        call(settings.reset_settings, ports)

    assert all(ports.directory_waits.acquire(blocking=False) for _ in range(MAX_WAITING))
