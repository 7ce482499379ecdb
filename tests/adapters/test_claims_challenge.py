"""A claims challenge end to end: Graph's 401, MSAL, Entra, the mail."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from shared.adapters.entra import EntraAuthority
from shared.adapters.graph import GraphMailTransport
from shared.deliveries.status import DeliveryStatus
from shared.sending.deliver import deliver
from shared.settings.tenant import Account, RequestedSender, Status, TenantSettings
from tests.builders import a_consent, a_message, list_senders, some_settings
from tests.fakes import FakeServices, FakeSystem
from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.microsoft365.contoso import ADA, CLIENT_ID, CLIENT_SECRET, CONTOSO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.config import AppConfig
    from shared.deliveries.delivery import Delivery
    from tests.local_stack.certificates import LocalAuthority
    from tests.local_stack.fixtures import ServedMicrosoft365

CLAIMS = '{"access_token": {"nbf": {"essential": true, "value": "1702682181"}}}'
ACCOUNT = Account("0b1ec700-0000-4000-8000-000000000001", CONTOSO, ADA)
MAIL = a_message(messageId="m-1", tenantId=CONTOSO)


@pytest.fixture
def services(
    config: AppConfig, office: ServedMicrosoft365, local_authority: LocalAuthority
) -> Iterator[FakeServices]:
    """Build services in memory with Entra and Graph over the network."""
    system = FakeSystem()
    entra = EntraAuthority(config, CLIENT_SECRET, system)
    services = FakeServices(system=system, authorizer=entra)
    begun = entra.begin(CONTOSO, ["Mail.Send"], "the-state", ADA)
    page = BrowserClient(local_authority.ca_file, posts_by_itself=False).consent(begun.address, ADA)
    redeemed = entra.redeem(CONTOSO, begun.auth_flow, page.forms[0].fields)
    services.configure(allowed_tenant_ids=frozenset({CONTOSO}))
    services.vault.write(f"smtp-{CONTOSO}-1", redeemed.tokens)
    services.settings.save(
        some_settings(tenant_id=CONTOSO, consent=a_consent(account=ACCOUNT, secret_name=f"smtp-{CONTOSO}-1"))
    )
    with closing(GraphMailTransport(office.graph)) as transport:
        services.transport = transport  # type: ignore[assignment]
        office.system.requests.clear()
        yield services


def row(services: FakeServices) -> Delivery:
    return services.deliveries.rows[CONTOSO, "m-1"]


def settings(services: FakeServices) -> TenantSettings:
    return services.settings.load(CONTOSO)


def test_the_claims_reach_entra_and_the_mail_is_sent_with_the_new_token(
    services: FakeServices, office: ServedMicrosoft365
) -> None:
    office.system.behaviour.wanted_claims = CLAIMS
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert settings(services).status is Status.ENABLED
    assert [request.status for request in office.system.requests.all("sendMail")] == [401, 202]
    assert len(office.system.requests.all("token")) == 2


def test_later_mails_use_the_token_that_graph_took(
    services: FakeServices, office: ServedMicrosoft365
) -> None:
    office.system.behaviour.wanted_claims = CLAIMS
    deliver(MAIL, "q-1", services)
    office.system.requests.clear()
    deliver(a_message(messageId="m-2", tenantId=CONTOSO), "q-2", services)

    assert [request.operation for request in office.system.requests.all()] == ["sendMail"]


@pytest.mark.parametrize(
    ("aadsts", "status", "problem"),
    [
        (50076, DeliveryStatus.WAITING_FOR_CONSENT, "consent_lost"),
        (53003, DeliveryStatus.WAITING_FOR_CONSENT, "sign_in_blocked"),
    ],
)
def test_only_entra_decides_that_the_consent_is_lost(
    services: FakeServices,
    office: ServedMicrosoft365,
    aadsts: int,
    status: DeliveryStatus,
    problem: str,
) -> None:
    office.system.behaviour.wanted_claims, office.system.behaviour.claims_problem = CLAIMS, aadsts
    deliver(MAIL, "q-1", services)

    shown = row(services).problem
    assert shown
    assert (row(services).status, shown.code) == (status, problem)
    assert shown.params["error"] == f"AADSTS{aadsts}"
    assert settings(services).status is Status.RECONNECT_NEEDED
    assert services.requests.load(CONTOSO, "m-1") == MAIL


def test_a_claims_challenge_during_an_outage_of_entra_loses_nothing(
    services: FakeServices, office: ServedMicrosoft365
) -> None:
    office.system.behaviour.wanted_claims, office.system.behaviour.claims_problem = CLAIMS, 90033
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.DEFERRED
    assert settings(services).status is Status.ENABLED


def test_a_refused_token_after_a_claims_challenge_is_no_lost_consent(
    services: FakeServices, office: ServedMicrosoft365
) -> None:
    office.system.faults.add("sendMail", "token expired", times=2)
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.DEFERRED
    assert settings(services).status is Status.ENABLED


def test_a_challenge_renews_the_apps_own_token_too(
    services: FakeServices, office: ServedMicrosoft365, config: AppConfig
) -> None:
    office.system.consents.grant_application(CLIENT_ID, CONTOSO, ["Mail.Send"])
    list_senders(services, ADA)
    services.settings.rows.clear()
    services.settings.save(
        some_settings(
            tenant_id=CONTOSO,
            sender=RequestedSender(ADA),
            consent=a_consent(account=None, secret_name=None, consented_by=""),
        )
    )
    office.system.behaviour.wanted_claims = CLAIMS
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert [request.status for request in office.system.requests.all("sendMail")] == [401, 202]
