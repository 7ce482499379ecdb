"""The order in which a timer processes its work."""

from shared.run_order import order_for_run


def test_a_run_processes_everything_once() -> None:
    assert sorted(order_for_run("dbca", 7)) == list("abcd")
    assert order_for_run([], 7) == []


def test_runs_with_time_for_a_tenth_reach_everything_within_a_few() -> None:
    work = [f"{number:02}" for number in range(50)]

    for first_run in (0, 5_954_688):
        reached = {each for run in range(25) for each in order_for_run(work, first_run + run)[:5]}
        assert reached == set(work)


def test_the_same_run_has_the_same_order_on_every_host() -> None:
    assert order_for_run(["b", "a", "c"], 3) == order_for_run({"c", "b", "a"}, 3)
