"""Entra's signing keys: known ones never wait, unknown ones are rare."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.adapters.http import HttpResponse, NotSentError
from shared.adapters.signing_keys import KeyLifetimes, SigningKeys
from shared.errors import ConfigurationError, TransientError, UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Mapping

WAIT = 10


def _number(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes(256)).rstrip(b"=").decode()


_MODULUS = _number(rsa.generate_private_key(65537, 2048).public_key().public_numbers().n)


def key(key_id: str, **members: Any) -> dict[str, Any]:
    return {"kid": key_id, "kty": "RSA", "use": "sig", "e": "AQAB", "n": _MODULUS} | members


@dataclass
class Entra:
    """Publishes keys; `gate` holds a response back until it is set."""

    published: list[dict[str, Any]] = field(default_factory=lambda: [key("one")])
    failure: Exception | None = None
    body: bytes | None = None
    status: int = 200
    requests: int = 0
    requested: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> HttpResponse:
        assert (method, url, headers, body) == ("GET", "https://entra.example/keys", {}, None)
        self.requests += 1
        self.requested.set()
        assert self.gate.wait(WAIT)
        if self.failure:
            raise self.failure
        return HttpResponse(self.status, {}, self.body or json.dumps({"keys": self.published}).encode())


def keys_of(entra: Entra, **lifetimes: float) -> SigningKeys:
    return SigningKeys("https://entra.example/keys", entra, KeyLifetimes(**lifetimes))  # type: ignore[arg-type]


def test_the_keys_are_fetched_once() -> None:
    entra = Entra([key("one"), key("two")])
    keys = keys_of(entra)

    assert [keys.find(each).key_id for each in ("one", "two", "one")] == ["one", "two", "one"]
    assert entra.requests == 1


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"kid": ""},
        {"kid": ["two"]},
        {"kty": "unheard-of"},
        {"kty": "oct", "k": "AQAB"},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43},
    ],
)
def test_a_key_that_is_not_for_signatures_is_not_used(members: dict[str, Any]) -> None:
    keys = keys_of(Entra([key("one"), key("two", **members)]))

    with pytest.raises(UnauthenticatedError):
        keys.find("two")


def test_an_unknown_key_id_is_fetched_at_most_every_half_minute() -> None:
    entra = Entra()
    keys = keys_of(entra)
    for _ in range(5):
        with pytest.raises(UnauthenticatedError):
            keys.find("unknown")

    assert entra.requests == 1


def test_a_new_key_is_found_after_the_interval() -> None:
    entra = Entra()
    keys = keys_of(entra, look_up_interval=0)
    keys.find("one")
    entra.published.append(key("two"))

    assert keys.find("two").key_id == "two"


def test_a_known_key_does_not_wait_for_the_fetch_of_an_unknown_one() -> None:
    entra = Entra()
    keys = keys_of(entra, look_up_interval=0)
    keys.find("one")
    entra.gate.clear()
    entra.requested.clear()
    strangers = [threading.Thread(target=_refused, args=(keys, f"unknown-{n}")) for n in range(4)]
    for stranger in strangers:
        stranger.start()
    assert entra.requested.wait(WAIT)

    assert keys.find("one").key_id == "one"
    assert any(stranger.is_alive() for stranger in strangers)
    entra.gate.set()
    for stranger in strangers:
        stranger.join(WAIT)


def _refused(keys: SigningKeys, key_id: str) -> None:
    with pytest.raises((UnauthenticatedError, TransientError)):
        keys.find(key_id)


def test_a_second_unknown_key_id_does_not_wait_either() -> None:
    entra = Entra()
    keys = keys_of(entra, look_up_interval=0)
    keys.find("one")
    entra.gate.clear()
    entra.requested.clear()
    first = threading.Thread(target=_refused, args=(keys, "unknown"))
    first.start()
    assert entra.requested.wait(WAIT)

    with pytest.raises(TransientError, match="entra_unavailable"):
        keys.find("another")
    entra.gate.set()
    first.join(WAIT)


def test_a_stale_key_is_used_while_the_keys_are_refreshed() -> None:
    entra = Entra()
    keys = keys_of(entra, refresh_after=0)
    keys.find("one")
    entra.gate.clear()
    entra.requested.clear()

    assert keys.find("one").key_id == "one"
    assert entra.requested.wait(WAIT)
    assert keys.find("one").key_id == "one"
    entra.gate.set()


def wait_for_refresh(keys: SigningKeys) -> None:
    assert keys._fetching.acquire(timeout=WAIT)
    keys._fetching.release()


def test_a_refresh_that_fails_is_not_repeated_at_once() -> None:
    entra = Entra()
    keys = keys_of(entra, refresh_after=0)
    keys.find("one")
    entra.failure = NotSentError()
    for _ in range(3):
        assert keys.find("one").key_id == "one"
        wait_for_refresh(keys)

    assert entra.requests == 2


def test_stale_keys_are_refreshed_by_one_thread_for_all_callers() -> None:
    entra = Entra()
    keys = keys_of(entra, refresh_after=0)
    keys.find("one")
    entra.gate.clear()
    before = threading.active_count()
    for _ in range(20):
        keys.find("one")

    assert threading.active_count() <= before + 1
    entra.gate.set()
    wait_for_refresh(keys)
    assert entra.requests == 2


def test_fresh_keys_are_not_refreshed() -> None:
    entra = Entra()
    keys = keys_of(entra)
    keys.find("one")
    keys.find("one")
    wait_for_refresh(keys)

    assert entra.requests == 1


def test_the_error_of_a_failed_fetch_is_a_new_one_for_each_caller() -> None:
    keys = keys_of(Entra(status=503))
    errors = []
    for _ in range(3):
        with pytest.raises(TransientError) as failed:
            keys.find("one")
        errors.append(failed.value)

    assert len({id(error) for error in errors}) == 3
    assert [error.code for error in errors] == ["entra_unavailable"] * 3


def test_everybody_waits_for_the_first_fetch() -> None:
    entra = Entra()
    entra.gate.clear()
    keys = keys_of(entra)
    found: list[str | None] = []
    callers = [threading.Thread(target=lambda: found.append(keys.find("one").key_id)) for _ in range(3)]
    for caller in callers:
        caller.start()
    assert entra.requested.wait(WAIT)
    entra.gate.set()
    for caller in callers:
        caller.join(WAIT)

    assert found == ["one"] * 3
    assert entra.requests == 1


def test_keys_are_discarded_in_the_end() -> None:
    entra = Entra()
    keys = keys_of(entra, discard_after=0)
    keys.find("one")
    entra.published = [key("two")]

    with pytest.raises(UnauthenticatedError):
        keys.find("one")


FAILURES: list[tuple[str, Entra, str]] = [
    ("no connection", Entra(failure=NotSentError()), "entra_unavailable"),
    ("an error status", Entra(status=503), "entra_unavailable"),
    ("no JSON", Entra(body=b"<html>"), "entra_unavailable"),
    ("no keys", Entra(body=b"{}"), "entra_unavailable"),
    ("a list", Entra(body=b"[]"), "entra_unavailable"),
    ("keys that are none", Entra(body=b'{"keys": 7}'), "entra_unavailable"),
    ("nested too deeply", Entra(body=b"[" * 100_000), "entra_unavailable"),
    ("an operator's error", Entra(failure=ConfigurationError("host_not_found", host="x")), "host_not_found"),
]


@pytest.mark.parametrize(
    ("entra", "code"), [case[1:] for case in FAILURES], ids=[case[0] for case in FAILURES]
)
def test_a_failed_fetch_refuses_no_token_and_is_not_repeated_at_once(entra: Entra, code: str) -> None:
    keys = keys_of(entra)
    for _ in range(3):
        with pytest.raises((TransientError, ConfigurationError), match=code):
            keys.find("one")

    assert entra.requests == 1


def test_after_a_failure_the_keys_are_fetched_again_in_time() -> None:
    entra = Entra(status=503)
    keys = keys_of(entra, failure_interval=0)
    with pytest.raises(TransientError):
        keys.find("one")
    entra.status = 200

    assert keys.find("one").key_id == "one"


def test_a_refresh_that_no_thread_can_do_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    entra = Entra()
    keys = keys_of(entra, refresh_after=0)
    keys.find("one")

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", start)
        assert keys.find("one").key_id == "one"
    keys.find("one")
    wait_for_refresh(keys)

    assert entra.requests == 2
