"""A fault at each call of a consent: nothing of it stays behind."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest

from shared.api import settings
from shared.consent.maintenance import maintain_consents
from shared.consent.other_account import delete_abandoned
from shared.errors import ConfigurationError, ProblemError, TransientError
from shared.settings.tenant import Account, Status
from tests.api_client import (
    Window,
    call,
    complete_consent,
    content,
    decide,
    finish,
    form_token,
    post_ticket,
    with_redirect,
)
from tests.fakes import CONTOSO, FakeServices

type Way = Callable[[FakeServices], None]
type Fault = Callable[[Callable[[], Any]], Any]

UMA = Account("uma-id", CONTOSO, "uma@contoso.com")


class ProcessEnds(BaseException):
    """Azure ends the process here."""


class NoFurtherPageError(Exception):
    """The person sees a problem."""


@dataclass
class Calls:
    """The calls of external systems; `faulty` numbers the one that fails."""

    fault: Fault
    faulty: int
    made: int = 0

    def make(self, work: Callable[[], Any]) -> Any:
        self.made += 1
        return self.fault(work) if self.made == self.faulty else work()


@dataclass
class Watched:
    """An external system whose calls are counted."""

    system: Any
    calls: Calls = field(repr=False)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.system, name)
        if not callable(member):
            return member
        return lambda *given, **named: self.calls.make(lambda: member(*given, **named))


def no_response(_work: Callable[[], Any]) -> Any:
    raise TransientError("storage_unavailable", service="tables")


def lost_response(work: Callable[[], Any]) -> Any:
    work()
    raise TransientError("storage_unavailable", service="tables")


def refused(_work: Callable[[], Any]) -> Any:
    raise ConfigurationError("storage_denied", service="tables", error="x")


def ends_before(_work: Callable[[], Any]) -> Any:
    raise ProcessEnds


def ends_after(work: Callable[[], Any]) -> Any:
    work()
    raise ProcessEnds


def started(ports: FakeServices, address: str) -> Window:
    """Save an address where sending is enabled, else press Enable."""
    enabled = ports.settings.load(CONTOSO).status is Status.ENABLED
    operation = settings.save if enabled else settings.enable
    found = content(call(operation, ports, {"fromEmailAddress": address, "largeFileAttachments": True}))
    return Window(found["flowId"], found["startUrl"])


def opened(ports: FakeServices, address: str) -> Window:
    window = started(ports, address)
    reply = post_ticket(window, ports)
    if "Set-Cookie" not in reply.headers:
        raise NoFurtherPageError
    return with_redirect(window, reply)


def own_account(ports: FakeServices) -> None:
    finish(opened(ports, "ada@contoso.com"), ports)


def other_account(ports: FakeServices, decision: str) -> None:
    ports.authorizer.account = UMA
    window = opened(ports, "finance@contoso.com")
    page = finish(window, ports)
    if page.status != HTTPStatus.OK:
        raise NoFurtherPageError
    decide(window, ports, decision, form_token(page))


def reset_at_the_end(ports: FakeServices) -> None:
    own_account(ports)
    call(settings.reset_settings, ports)


WAYS: dict[str, Way] = {
    "own account": own_account,
    "another account continues": lambda ports: other_account(ports, "continue"),
    "another account refuses": lambda ports: other_account(ports, "refuse"),
    "reset": reset_at_the_end,
}


def go(way: Way, fault: Fault, faulty: int, *, connected: bool) -> tuple[FakeServices, int]:
    """Go a way with a fault at one call; return what is left and the calls."""
    ports = FakeServices()
    if connected:
        complete_consent(ports)
    calls = Calls(fault, faulty)
    kept = {name: getattr(ports, name) for name in ("flows", "settings", "vault", "authorizer")}
    for name, system in kept.items():
        setattr(ports, name, Watched(system, calls))
    # The page shows a problem, and the person goes no further.
    with suppress(ProblemError, ProcessEnds, NoFurtherPageError):
        way(ports)
    for name, system in kept.items():
        setattr(ports, name, system)
    return ports, calls.made


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("fault", [no_response, lost_response, refused, ends_before, ends_after])
@pytest.mark.parametrize("way", WAYS)
def test_after_a_fault_at_any_call_nothing_stays_and_a_consent_works(
    way: str,
    fault: Fault,
    connected: bool,  # noqa: FBT001 - pytest passes by name
) -> None:
    _, calls = go(WAYS[way], fault, 0, connected=connected)
    assert calls > 15
    for faulty in range(1, calls + 1):
        ports, _ = go(WAYS[way], fault, faulty, connected=connected)
        delete_abandoned(ports)
        for _ in range(2):
            ports.system.pass_time(timedelta(days=2))
            maintain_consents(ports)

        kept = ports.settings.load(CONTOSO)
        named = {kept.consent.secret_name} if kept.consent else set()
        assert set(ports.vault.secrets) == named
        assert (kept.undeleted_tokens, ports.flows.flows, ports.flows.secrets) == ((), {}, {})

        call(settings.reset_settings, ports)
        ports.authorizer.account = FakeServices().authorizer.account
        complete_consent(ports)
        assert ports.settings.load(CONTOSO).status is Status.ENABLED
