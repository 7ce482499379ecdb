"""The backlog of the queue is logged every five minutes."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from shared.errors import TransientError
from shared.mail_queue import Backlog
from shared.sending.maintenance import release_all
from tests.builders import enabled_services
from tests.fakes import NOON


@pytest.mark.parametrize(
    ("backlog", "fields"),
    [
        (Backlog(1234, NOON - timedelta(minutes=41, seconds=30)), '"length": 1234, "minutes": 41'),
        (Backlog(2, None), '"length": 2, "minutes": 0'),
        (Backlog(1, NOON + timedelta(minutes=3)), '"length": 1, "minutes": 0'),
    ],
    ids=["old", "hidden", "another clock"],
)
def test_length_and_age_of_the_oldest_are_logged(
    backlog: Backlog, fields: str, caplog: pytest.LogCaptureFixture
) -> None:
    services = enabled_services()
    services.outbox.waiting = backlog
    with caplog.at_level(logging.INFO):
        release_all(services)

    assert f"outbox_backlog {{{fields}}}" in caplog.messages


def test_an_empty_queue_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        release_all(enabled_services())

    assert "outbox_backlog" not in caplog.text


def test_a_queue_that_does_not_respond_stops_nothing_else(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = enabled_services()
    services.outbox.poisoned = 1

    def unavailable() -> Backlog:
        raise TransientError("storage_unavailable", service="queues")

    monkeypatch.setattr(services.outbox, "backlog", unavailable)
    with caplog.at_level(logging.WARNING):
        release_all(services)

    assert (
        'request_failed {"operation": "outbox_backlog", "problem": "storage_unavailable"}' in caplog.messages
    )
    assert 'poison_queue_not_empty {"length": 1}' in caplog.messages
