from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.api import consent, settings
from shared.api.request import Response
from shared.consent.errors import EntraUnavailableError
from shared.consent.flow import hash_of
from shared.errors import ConflictError
from tests.api_client import (
    Window,
    a_request,
    call,
    complete_consent,
    content,
    enable,
    open_start_link,
    post_ticket,
    ticket_of,
    with_redirect,
)
from tests.builders import some_settings
from tests.fakes import FakeServices, MemoryFlows


@pytest.fixture
def ports() -> FakeServices:
    return FakeServices()


def problem_of(reply: Response) -> str:
    """Return the problem shown to a refused browser before Microsoft's pages."""
    assert "Set-Cookie" not in reply.headers
    address = urlsplit(str(content(reply)["location"]))
    assert f"{address.scheme}://{address.netloc}{address.path}" == (
        "https://mailer.contoso.com/api/consent/result"
    )
    return parse_qs(address.query)["problem"][0]


def test_enable_is_checked_again_where_the_settings_changed_meanwhile(
    ports: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports.flows, "add", lambda *_: ports.settings.save(some_settings()))

    with pytest.raises(ConflictError) as refused:
        enable(ports)
    assert refused.value.code == "already_enabled"


def test_the_start_link_leads_to_microsoft(ports: FakeServices) -> None:
    reply = post_ticket(enable(ports), ports)

    assert reply.status == 200
    assert content(reply)["location"].startswith("https://login.microsoftonline.com/")


def test_a_cookie_valid_on_the_azure_domain_binds_the_flow_to_the_browser(
    ports: FakeServices,
) -> None:
    cookie = post_ticket(enable(ports), ports).headers["Set-Cookie"]

    name, _, rest = cookie.partition("=")
    scope = {"Domain=mailer.contoso.com", "Path=/api/consent"}
    assert name == "__Secure-consent"
    assert set(rest.split("; ")[1:]) == scope | {"Secure", "HttpOnly", "SameSite=None", "Max-Age=86400"}


def test_the_cookie_is_sent_only_to_consent_addresses(ports: FakeServices) -> None:
    ports.configure(public_base_url="https://apps.contoso.com/mailer")

    assert "; Path=/mailer/api/consent; " in post_ticket(enable(ports), ports).headers["Set-Cookie"]


def test_the_ticket_is_in_the_fragment_which_no_request_carries(ports: FakeServices) -> None:
    address = urlsplit(enable(ports).start_url)

    assert address.query == ""
    assert address.fragment == "ticket=secret-0002"


def test_a_get_of_the_start_link_changes_nothing(ports: FakeServices) -> None:
    link = enable(ports)
    before = (dict(ports.flows.flows), dict(ports.flows.secrets))

    for headers in ({}, {"sec-purpose": "prefetch"}, {"sec-purpose": "prefetch;prerender"}):
        reply = consent.show_start(a_request(route={"flow_id": link.flow_id}, headers=headers), ports)
        assert (reply.status, reply.headers.get("Set-Cookie")) == (200, None)

    assert (ports.flows.flows, ports.flows.secrets) == before
    open_start_link(link, ports)


def test_a_ticket_in_the_address_opens_nothing(ports: FakeServices) -> None:
    link = enable(ports)
    query = {"ticket": ticket_of(link.start_url)}

    reply = consent.start(a_request(route={"flow_id": link.flow_id}, query=query), ports)

    assert problem_of(reply) == "consent_not_found"


def test_ticket_state_and_cookie_are_stored_only_as_hashes(ports: FakeServices) -> None:
    link = enable(ports)
    ticket = ticket_of(link.start_url)
    kept_before = ports.flows.secrets[link.flow_id]
    window = open_start_link(link, ports)

    kept = ports.flows.secrets[link.flow_id]

    assert kept_before.ticket_hash == hash_of(ticket)
    assert (kept.ticket_hash, kept.state_hash, kept.cookie_hash) == (
        None,
        hash_of(window.state),
        hash_of(window.cookie),
    )


def test_the_start_link_opens_once(ports: FakeServices) -> None:
    link = enable(ports)
    open_start_link(link, ports)

    assert problem_of(post_ticket(link, ports)) == "consent_link_used"


def test_of_two_browsers_that_open_the_link_at_once_one_wins(ports: FakeServices) -> None:
    link = enable(ports)

    class ConsumedFlows(MemoryFlows):
        def replace_secret(self, secret: object) -> bool:
            return False

    ports.flows = ConsumedFlows(ports.flows.flows, ports.flows.secrets)

    assert problem_of(post_ticket(link, ports)) == "consent_link_used"


def test_the_link_of_a_finished_consent_opens_nothing(ports: FakeServices) -> None:
    window = complete_consent(ports)

    assert problem_of(post_ticket(window, ports)) == "consent_link_used"


@pytest.mark.parametrize("ticket", ["", "wrong"])
def test_a_wrong_ticket_gets_the_error_of_an_unknown_consent(ports: FakeServices, ticket: str) -> None:
    link = enable(ports)
    guess = a_request(f"ticket={ticket}".encode(), route={"flow_id": link.flow_id})

    assert problem_of(consent.start(guess, ports)) == "consent_not_found"
    open_start_link(link, ports)


@pytest.mark.parametrize("flow_id", ["00000000-0000-4000-8000-999999999999", "nonsense", "", "../x"])
def test_an_unknown_consent_is_reported(ports: FakeServices, flow_id: str) -> None:
    guess = a_request(b"ticket=t", route={"flow_id": flow_id})

    assert problem_of(consent.start(guess, ports)) == "consent_not_found"


def test_a_link_is_good_for_ten_minutes(ports: FakeServices) -> None:
    link = enable(ports)
    ports.system.pass_time(timedelta(minutes=10))

    assert problem_of(post_ticket(link, ports)) == "consent_link_expired"


def test_a_link_that_a_reset_overtook_is_reported(ports: FakeServices) -> None:
    link = enable(ports)
    call(settings.reset_settings, ports)

    assert problem_of(post_ticket(link, ports)) == "consent_superseded"


def test_a_link_that_a_second_tab_overtook_is_reported(ports: FakeServices) -> None:
    first = enable(ports)
    second = enable(ports)

    assert problem_of(post_ticket(first, ports)) == "consent_superseded"
    open_start_link(second, ports)


def test_while_entra_is_unavailable_the_link_stays_valid(ports: FakeServices) -> None:
    link = enable(ports)
    ports.authorizer.fail.append(EntraUnavailableError())

    assert problem_of(post_ticket(link, ports)) == "consent_interrupted"
    open_start_link(link, ports)


def test_each_window_gets_values_of_its_own(ports: FakeServices) -> None:
    first = open_start_link(enable(ports), ports)
    second = open_start_link(enable(ports), ports)

    assert first.state != second.state
    assert first.cookie != second.cookie
    assert first.state not in first.cookie


def test_the_state_of_a_window_is_sent_only_to_microsoft(ports: FakeServices) -> None:
    link = enable(ports)
    reply = post_ticket(link, ports)
    window: Window = with_redirect(link, reply)

    assert window.state in content(reply)["location"]
    assert window.state not in reply.headers["Set-Cookie"]
    assert window.cookie not in content(reply)["location"]
    assert replace(window, state="") != window
