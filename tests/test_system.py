from datetime import UTC, timedelta

from shared.system import RealSystem


def test_time_is_aware_and_in_utc() -> None:
    assert RealSystem().now().tzinfo is UTC
    assert RealSystem().now() - RealSystem().now() < timedelta(seconds=1)


def test_a_secret_has_256_bits_and_fits_a_url_and_a_cookie() -> None:
    secret = RealSystem().random_token()

    assert len(secret) == 43
    assert secret.replace("-", "").replace("_", "").isalnum()
    assert secret != RealSystem().random_token()


def test_an_identifier_is_not_given_twice() -> None:
    assert RealSystem().new_id() != RealSystem().new_id()


def test_jitter_is_spread_from_0_to_1() -> None:
    values = [RealSystem().jitter() for _ in range(100)]

    assert all(0 <= value <= 1 for value in values)
    assert min(values) < 0.5 < max(values)


def test_sleeping_lets_time_pass() -> None:
    before = RealSystem().now()

    RealSystem().sleep(0.01)

    assert RealSystem().now() - before >= timedelta(seconds=0.01)
