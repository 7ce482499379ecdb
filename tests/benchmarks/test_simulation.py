"""A backlog in virtual time."""

import pytest

from tests.benchmarks.simulation import Load, Result, simulate, table


def assert_sent_once_at_flat_cost(result: Result) -> None:
    assert result.lost == result.duplicates == 0
    assert result.most_within(60) <= 30
    assert result.calls_per_mail <= 20


def test_without_a_rate_limit_one_host_uses_four_concurrent_requests() -> None:
    result = simulate(Load(mails=200, hosts=1, rate=None))

    assert result.refused == result.lost == result.duplicates == 0
    assert result.times[-1] - result.times[0] <= result.ideal / 0.9


def test_a_run_repeats_exactly() -> None:
    first, second = (table([simulate(Load(mails=40, hosts=4))]) for _ in range(2))

    assert first == second


@pytest.mark.parametrize(("mails", "hosts"), [(100, 1), (100, 8), (300, 4)])
def test_the_learned_pace_uses_the_mailbox_with_few_refusals(mails: int, hosts: int) -> None:
    result = simulate(Load(mails, hosts))

    assert_sent_once_at_flat_cost(result)
    assert result.refused <= mails / 100 + 20
    assert result.times[-1] <= result.ideal * 1.1
    assert result.longest_wait <= result.ideal_wait * 1.3


def test_a_pause_in_a_long_line_costs_each_mail_of_it_little() -> None:
    result = simulate(Load(1500, 1))

    assert_sent_once_at_flat_cost(result)


def test_forty_hosts_disturb_each_other_little() -> None:
    result = simulate(Load(400, 40, set_pace=30))

    assert_sent_once_at_flat_cost(result)
    assert result.refused == 0
    assert result.times[-1] <= result.ideal * 1.05


@pytest.mark.parametrize(
    "odd", ["1000000000", "0", "-5", "0.5", "Wed, 21 Oct 2015 07:28:00 GMT", None, "soon"]
)
def test_sending_continues_after_any_retry_after(odd: str | None) -> None:
    result = simulate(Load(100, 4, retry_after=(odd,)), longest=12 * 3600)

    assert result.lost == result.duplicates == 0
    assert result.refused <= 20


@pytest.mark.parametrize(("pace", "most"), [(6, 6 + 1), (30, 30 + 3)])
def test_a_set_pace_holds_after_a_stop_of_all_hosts_within_five_seconds(pace: int, most: int) -> None:
    result = simulate(Load(200, 4, rate=None, set_pace=pace, stopped=(200, 245)))

    assert result.lost == result.duplicates == 0
    assert result.most_within(60) <= most


def test_a_set_pace_is_refused_nothing() -> None:
    result = simulate(Load(300, 8, set_pace=30))

    assert_sent_once_at_flat_cost(result)
    assert result.refused == 0
    assert result.times[-1] <= result.ideal * 1.05
