"""A backlog in virtual time."""

from tests.benchmarks.simulation import Load, simulate, table


def test_without_a_limit_of_the_rate_one_host_uses_the_four_requests_that_graph_allows() -> None:
    result = simulate(Load(mails=200, hosts=1, rate=None))

    assert result.refused == result.lost == result.duplicates == 0
    assert result.times[-1] - result.times[0] <= result.ideal / 0.9


def test_a_run_repeats_exactly() -> None:
    first, second = (table([simulate(Load(mails=40, hosts=4))]) for _ in range(2))

    assert first == second


def test_several_hosts_send_each_mail_once_and_never_more_than_the_mailbox_takes() -> None:
    result = simulate(Load(mails=60, hosts=4))

    assert result.lost == result.duplicates == 0
    assert result.most_within(59) <= 30
