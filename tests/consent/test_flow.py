from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.consent.flow import FLOW_ID, ConsentFlow, FlowStatus, flow_of_state, hash_of, matches_hash
from shared.system import RealSystem
from tests.fakes import CONTOSO, NOON

FLOW = ConsentFlow("flow", CONTOSO, "ada-object-id", "ada@contoso.com", NOON + timedelta(minutes=10))


def test_a_pending_flow_expires() -> None:
    assert FLOW.status_at(NOON + timedelta(minutes=9, seconds=59)) is FlowStatus.PENDING
    assert FLOW.status_at(NOON + timedelta(minutes=10)) is FlowStatus.EXPIRED


@pytest.mark.parametrize("status", [FlowStatus.COMPLETED, FlowStatus.DECLINED, FlowStatus.FAILED])
def test_a_flow_that_ended_stays_as_it_ended(status: FlowStatus) -> None:
    ended = ConsentFlow("flow", CONTOSO, "id", "name", NOON, status=status)

    assert ended.status_at(NOON + timedelta(days=1)) is status


@given(st.text(min_size=1))
def test_only_the_hashed_value_matches(secret: str) -> None:
    assert matches_hash(secret, hash_of(secret))
    assert not matches_hash(f"{secret}x", hash_of(secret))


@pytest.mark.parametrize(("secret", "kept"), [(None, hash_of("")), ("", hash_of("")), ("x", None), ("x", "")])
def test_nothing_never_matches(secret: str | None, kept: str | None) -> None:
    assert not matches_hash(secret, kept)


def test_a_state_names_its_flow_first() -> None:
    assert flow_of_state("the-flow.the-secret") == "the-flow"
    assert flow_of_state("nonsense") == "nonsense"


def test_our_flow_ids_match_the_pattern_that_is_accepted() -> None:
    assert FLOW_ID.fullmatch(RealSystem().new_id())
