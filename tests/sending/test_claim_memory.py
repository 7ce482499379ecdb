"""What a process remembers while storage is not available."""

from __future__ import annotations

from shared.sending.claim_memory import ClaimMemory


def test_a_claim_is_held_while_it_is_worked_on() -> None:
    claims = ClaimMemory()
    with claims.holding("c-1"):
        assert claims.holds("c-1")
        assert not claims.holds("c-2")

    assert not claims.holds("c-1")
    assert not claims.holds(None)


def test_a_redelivered_message_means_what_could_not_be_queued() -> None:
    claims = ClaimMemory()
    claims.keep("q-1", b"other")

    assert claims.recall("q-1", b"text") == b"other"
    assert claims.recall("q-2", b"text") == b"text"
    claims.forget("q-1", b"other")
    assert claims.recall("q-1", b"text") == b"text"


def test_the_oldest_message_is_dropped_when_there_are_too_many() -> None:
    claims = ClaimMemory()
    for number in range(201):
        claims.keep(f"q-{number}", b"other")

    assert claims.recall("q-0", b"text") == b"text"
    assert claims.recall("q-1", b"text") == b"other"


def test_what_could_not_be_queued_is_taken_once_until_it_is_left() -> None:
    claims = ClaimMemory()
    claims.keep("q-1", b"other")

    assert claims.take_unqueued() == {"q-1": b"other"}
    assert claims.take_unqueued() == {}
    assert claims.recall("q-1", b"text") == b"other"
    claims.leave_unqueued("q-1")
    assert claims.take_unqueued() == {"q-1": b"other"}

    claims.forget("q-1", b"other")
    claims.leave_unqueued("q-1")
    assert claims.take_unqueued() == {}


def test_what_another_thread_has_learned_meanwhile_is_not_forgotten() -> None:
    claims = ClaimMemory()
    claims.keep("m-1", b"accepted")
    claims.forget("m-1", b"text")

    assert claims.recall("m-1", b"text") == b"accepted"
