"""The contract of a FlowStore, for the fake and Azure Table Storage."""

import uuid
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.adapters.flow_table import TableFlowStore
from shared.consent.flow import ConsentFlow, FlowSecret, FlowStatus
from shared.consent.ports import FlowStore
from shared.settings.tenant import ActiveProblem
from tests.builders import a_consent
from tests.contracts.conftest import Tables
from tests.fakes import CONTOSO, NOON, MemoryFlows


@pytest.fixture(params=["memory", "azurite"])
def store(request: pytest.FixtureRequest, tables: Tables) -> FlowStore:
    if request.param == "memory":
        return MemoryFlows()
    return TableFlowStore(tables)


@pytest.fixture
def flow() -> ConsentFlow:
    return ConsentFlow(str(uuid.uuid4()), CONTOSO, "ada-object-id", "ada@contoso.com", NOON)


def secret_of(flow: ConsentFlow) -> FlowSecret:
    auth_flow = {"code_verifier": "v", "nonce": "n", "scope": ["Mail.Send", "openid"]}
    return FlowSecret(flow.flow_id, ticket_hash="t", state_hash="s", cookie_hash="c", auth_flow=auth_flow)


def stored_secret(store: FlowStore, flow: ConsentFlow) -> FlowSecret:
    found = store.secret(flow.flow_id)
    assert found is not None
    return found


def test_an_unknown_flow_is_none(store: FlowStore, flow: ConsentFlow) -> None:
    assert store.flow(flow.flow_id) is None
    assert store.secret(flow.flow_id) is None


def test_a_flow_and_its_secret_are_stored_together(store: FlowStore, flow: ConsentFlow) -> None:
    store.add(flow, secret_of(flow))

    assert store.flow(flow.flow_id) == flow
    found = stored_secret(store, flow)
    assert found == replace(secret_of(flow), etag=found.etag)


def test_the_outcome_of_a_flow_is_stored(store: FlowStore, flow: ConsentFlow) -> None:
    store.add(flow, secret_of(flow))
    ended = replace(
        flow, status=FlowStatus.FAILED, problem=ActiveProblem("consent_failed", NOON, {"error": "x"})
    )

    store.save(ended)

    assert store.flow(flow.flow_id) == ended


def test_a_secret_is_replaced_once(store: FlowStore, flow: ConsentFlow) -> None:
    store.add(flow, secret_of(flow))
    read = stored_secret(store, flow)

    assert store.replace_secret(replace(read, ticket_hash=None))
    assert not store.replace_secret(replace(read, ticket_hash="again"))
    assert stored_secret(store, flow).ticket_hash is None


def test_a_secret_is_taken_once(store: FlowStore, flow: ConsentFlow) -> None:
    store.add(flow, secret_of(flow))
    read = stored_secret(store, flow)

    assert store.consume_secret(read)
    assert not store.consume_secret(read)
    assert store.secret(flow.flow_id) is None
    assert store.flow(flow.flow_id) == flow


def test_a_secret_that_changed_since_it_was_read_is_not_taken(store: FlowStore, flow: ConsentFlow) -> None:
    store.add(flow, secret_of(flow))
    read = stored_secret(store, flow)
    store.replace_secret(read)

    assert not store.consume_secret(read)
    assert stored_secret(store, flow).flow_id == flow.flow_id


def test_a_taken_secret_is_not_replaced(store: FlowStore, flow: ConsentFlow) -> None:
    store.add(flow, secret_of(flow))
    read = stored_secret(store, flow)
    store.consume_secret(read)

    assert not store.replace_secret(read)
    assert store.secret(flow.flow_id) is None


def test_old_flows_are_forgotten_with_their_secrets(store: FlowStore, flow: ConsentFlow) -> None:
    young = replace(flow, flow_id=str(uuid.uuid4()), expires_at=NOON + timedelta(seconds=1))
    store.add(flow, secret_of(flow))
    store.add(young, secret_of(young))

    store.delete_expired(NOON + timedelta(seconds=1))

    assert (store.flow(flow.flow_id), store.secret(flow.flow_id)) == (None, None)
    assert (store.flow(young.flow_id), stored_secret(store, young).flow_id) == (young, young.flow_id)


def test_an_old_flow_whose_secret_was_used_is_forgotten_too(store: FlowStore, flow: ConsentFlow) -> None:
    store.add(flow, secret_of(flow))
    store.consume_secret(stored_secret(store, flow))

    store.delete_expired(NOON + timedelta(seconds=1))

    assert store.flow(flow.flow_id) is None


def test_secrets_are_written_only_if_there_are_none(store: FlowStore, flow: ConsentFlow) -> None:
    store.add(flow, secret_of(flow))
    held = FlowSecret(flow.flow_id, form_hash="form")

    assert not store.replace_secret(held)
    store.consume_secret(stored_secret(store, flow))

    assert store.replace_secret(held)
    assert stored_secret(store, flow).form_hash == "form"


def test_an_undecided_consent_is_listed_after_it_expired(store: FlowStore, flow: ConsentFlow) -> None:
    store.add(flow, secret_of(flow))
    store.consume_secret(stored_secret(store, flow))
    held = FlowSecret(flow.flow_id, form_hash="form", consent=a_consent(), expires_at=NOON)
    store.replace_secret(held)

    def found(moment: datetime) -> list[FlowSecret]:
        return [secret for secret in store.unconfirmed(moment) if secret.flow_id == flow.flow_id]

    assert found(NOON) == []
    (expired,) = found(NOON + timedelta(milliseconds=1))
    assert expired == replace(held, etag=expired.etag)
    assert store.consume_secret(expired)
    assert found(NOON + timedelta(days=1)) == []


def test_a_tenants_flows_are_listed_and_removed_with_their_secrets(
    store: FlowStore, flow: ConsentFlow
) -> None:
    ours = replace(flow, tenant_id=str(uuid.uuid4()))
    theirs = replace(flow, flow_id=str(uuid.uuid4()), tenant_id=str(uuid.uuid4()))
    for each in (ours, theirs):
        store.add(each, secret_of(each))
    assert store.of_tenant(ours.tenant_id) == (ours.flow_id,)

    store.remove(ours.flow_id)
    store.remove(ours.flow_id)

    assert (store.flow(ours.flow_id), store.secret(ours.flow_id)) == (None, None)
    assert store.of_tenant(ours.tenant_id) == ()
    assert store.flow(theirs.flow_id) == theirs
