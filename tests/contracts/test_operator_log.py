"""The contract of an OperatorLog, for the fake and Azure Table Storage."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.adapters.operator_table import TableOperatorLog
from shared.adapters.pause_table import TablePauseStore
from shared.settings.operator_log import OperatorAction, OperatorLog
from shared.settings.sending_switch import SendingPause
from tests.fakes import CONTOSO, NOON, MemoryOperatorLog

if TYPE_CHECKING:
    from tests.contracts.conftest import Tables

FIRST = OperatorAction("1", NOON, "pause_sending", "done", "operator-object-id")
SECOND = OperatorAction(
    "2", NOON + timedelta(milliseconds=1), "delete_tenant", "done", None, CONTOSO, {"mails": 3}
)


@pytest.fixture(params=["memory", "azurite"])
def log(request: pytest.FixtureRequest, tables: Tables) -> OperatorLog:
    found: OperatorLog = MemoryOperatorLog() if request.param == "memory" else TableOperatorLog(tables)
    for action in found.unreported():
        found.remove(action)
    return found


def test_actions_are_read_as_stored_with_the_oldest_first(log: OperatorLog) -> None:
    log.add(SECOND)
    log.add(FIRST)

    assert list(log.unreported()) == [FIRST, SECOND]


def test_what_was_removed_is_not_reported_again_and_can_be_removed_twice(log: OperatorLog) -> None:
    log.add(FIRST)
    log.add(SECOND)
    log.remove(FIRST)
    log.remove(FIRST)

    assert list(log.unreported()) == [SECOND]


def test_a_pause_in_the_same_partition_is_no_action(tables: Tables) -> None:
    log, pause = TableOperatorLog(tables), TablePauseStore(tables)
    for action in log.unreported():
        log.remove(action)
    pause.save(SendingPause(NOON))
    try:
        assert list(log.unreported()) == []
    finally:
        pause.remove()
