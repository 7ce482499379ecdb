"""Each alert on logs: which lines raise it, and which similar ones do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.fakes import CONTOSO
from tests.infra.app_log import Scenario, logged
from tests.infra.mail_scenarios import (
    DAY,
    HOUR,
    MINUTE,
    accepted,
    accepted_after_hours,
    bug,
    busy_after_the_wait_for_a_slot,
    conflicting,
    consent_lost,
    deferred_after_a_retry,
    deferred_after_waiting_for_consent,
    deferred_after_waiting_for_microsoft365,
    deferred_after_waiting_for_the_operator,
    deferred_and_queued_again,
    deferred_and_then_paused,
    deferred_for_half_an_hour,
    deferred_for_two_hours,
    deferred_for_two_hours_and_waiting_for_a_slot,
    deferred_mail_at_the_front,
    duplicate,
    duplicate_of_yesterday,
    expired,
    invalid,
    mail_of_a_removed_tenant,
    mail_of_an_unknown_tenant,
    not_sent_an_hour_after_its_slot,
    not_sent_half_an_hour_after_its_slot,
    nothing,
    one_accepted_one_deferred,
    operator_error,
    outbox_busy,
    outbox_stuck,
    paused_for_half_an_hour,
    paused_for_two_hours,
    paused_for_two_hours_and_resumed,
    poisoned,
    rejected,
    retried_just_now_after_long_deferrals,
    sender_refused,
    storage_denied,
    stuck_in_the_poison_queue,
    tenant_removed,
    tenant_restored,
    token_not_refreshed,
    token_refreshed_daily,
    unknown,
    waiting_for_a_slot_that_moved_back,
    waiting_for_slots_of_many_hours,
)
from tests.infra.project import Project
from tests.infra.workspace import Row, fires, run

if TYPE_CHECKING:
    from datetime import timedelta

OUTBOX = "https://stmailer.queue.core.windows.net:443/mail-outbox/messages?visibilitytimeout=0"

# ---- What Azure logs ----


def put(age: timedelta, status: str = "201", uri: str = OUTBOX) -> Row:
    return Row("StorageQueueLogs", age, {"OperationName": "PutMessage", "Uri": uri, "StatusCode": status})


def request(function: str, age: timedelta = MINUTE, *, success: bool = True) -> Row:
    return Row("AppRequests", age, {"OperationName": function, "Success": success})


def call(place: str, *, success: bool, age: timedelta = MINUTE) -> Row:
    return Row("AppAvailabilityResults", age, {"Location": place, "Success": success})


def host_line(text: str) -> Row:
    """Return a log line of the host's queue extension.

    `Microsoft.Azure.WebJobs.Extensions.Storage.Queues` writes it.
    """
    return Row("AppTraces", MINUTE, {"Message": text})


# ---- Which of it raises an alert ----


@dataclass(frozen=True)
class Case:
    """A mail scenario, further logs of Azure, and whether the alert is raised."""

    alert: str
    scenario: Scenario
    raised: bool
    besides: tuple[Row, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        return f"{self.alert}: {self.note or self.scenario.__name__}{'' if self.raised else ' does not'}"


def both(alert: str, *scenarios: Scenario) -> list[Case]:
    """Return cases: each scenario raises the alert, an accepted mail not."""
    return [
        *(Case(alert, scenario, raised=True) for scenario in scenarios),
        Case(alert, accepted, raised=False),
    ]


def failures(function: str, count: int) -> tuple[Row, ...]:
    return tuple(request(function, success=False) for _ in range(count))


POISON_LINE = (
    "Message has reached MaxDequeueCount of 5. Moving message to queue 'https://stmailer.queue.core."
    "windows.net/mail-outbox-poison'."
)
OFTEN = ("release_waiting_mails", "delete_abandoned_consents")
DAILY = ("keep_consents_alive", "remove_finished_deliveries")

CASES = [
    *both("mail-expired", expired),
    *both("mail-outcome-unknown", unknown),
    *both("mail-refused", rejected, invalid, conflicting),
    Case("mail-refused", duplicate, raised=False),
    *both("consent-lost", consent_lost),
    *both("sender-refused", sender_refused),
    Case("mail-refused", sender_refused, raised=False),
    Case("mail-deferred-long", deferred_after_waiting_for_microsoft365, raised=True),
    *both("operator-error", operator_error, storage_denied),
    Case("operator-error", consent_lost, raised=False),
    *both("unexpected-error", bug),
    *both("mail-poisoned", poisoned, stuck_in_the_poison_queue),
    Case("mail-poisoned", nothing, raised=True, besides=(host_line(POISON_LINE),), note="the host says it"),
    Case(
        "mail-poisoned",
        nothing,
        raised=False,
        besides=(host_line(POISON_LINE.replace("mail-outbox", "other")),),
        note="another queue's",
    ),
    Case("mail-deferred-long", deferred_for_two_hours, raised=True),
    Case("mail-deferred-long", deferred_after_waiting_for_consent, raised=True),
    Case("mail-deferred-long", deferred_after_waiting_for_the_operator, raised=True),
    Case("mail-deferred-long", deferred_after_a_retry, raised=True),
    Case("mail-deferred-long", deferred_and_queued_again, raised=True),
    Case("mail-deferred-long", one_accepted_one_deferred, raised=True),
    Case("mail-deferred-long", deferred_for_half_an_hour, raised=False),
    Case("mail-deferred-long", accepted_after_hours, raised=False),
    Case("mail-deferred-long", retried_just_now_after_long_deferrals, raised=False),
    Case("mail-deferred-long", deferred_and_then_paused, raised=False),
    Case("mail-deferred-long", rejected, raised=False),
    Case("mail-deferred-long", waiting_for_slots_of_many_hours, raised=False),
    Case("mail-deferred-long", waiting_for_a_slot_that_moved_back, raised=False),
    Case("mail-deferred-long", not_sent_half_an_hour_after_its_slot, raised=False),
    Case("mail-deferred-long", not_sent_an_hour_after_its_slot, raised=True),
    Case("mail-deferred-long", deferred_for_two_hours_and_waiting_for_a_slot, raised=False),
    Case("mail-deferred-long", busy_after_the_wait_for_a_slot, raised=False),
    Case("mail-outbox-stuck", outbox_stuck, raised=True),
    Case("mail-outbox-stuck", outbox_busy, raised=False),
    Case("mail-outbox-stuck", deferred_mail_at_the_front, raised=False),
    Case("token-not-refreshed", token_not_refreshed, raised=True),
    Case("token-not-refreshed", token_refreshed_daily, raised=False),
    Case("sending-paused-long", paused_for_two_hours, raised=True),
    Case("sending-paused-long", paused_for_half_an_hour, raised=False),
    Case("sending-paused-long", paused_for_two_hours_and_resumed, raised=False),
    *both("tenant-not-served", tenant_removed, mail_of_a_removed_tenant),
    Case("tenant-not-served", mail_of_an_unknown_tenant, raised=True),
    Case("tenant-not-served", tenant_restored, raised=False),
    Case("operator-error", mail_of_a_removed_tenant, raised=True),
    Case("no-mail-accepted", nothing, raised=True, besides=(put(2 * HOUR),), note="a mail is queued"),
    Case("no-mail-accepted", rejected, raised=True, besides=(put(2 * HOUR),)),
    Case("no-mail-accepted", nothing, raised=False, note="nothing is queued"),
    Case("no-mail-accepted", nothing, raised=False, besides=(put(10 * MINUTE),), note="queued just now"),
    Case("no-mail-accepted", nothing, raised=False, besides=(put(7 * HOUR),), note="queued long ago"),
    Case("no-mail-accepted", accepted, raised=False, besides=(put(2 * HOUR),)),
    Case("no-mail-accepted", nothing, raised=False, besides=(put(HOUR, "403"),), note="a refused put"),
    Case(
        "no-mail-accepted",
        nothing,
        raised=False,
        besides=(put(HOUR, uri=OUTBOX.replace("outbox", "outbox-poison")),),
        note="a put on the poison queue",
    ),
    Case("no-mail-accepted", duplicate_of_yesterday, raised=False, besides=(put(HOUR),)),
    Case(
        "no-mail-accepted",
        duplicate_of_yesterday,
        raised=True,
        besides=(put(HOUR), put(2 * HOUR)),
        note="a duplicate and a mail",
    ),
    Case(
        "vault-forbidden",
        nothing,
        raised=True,
        besides=(Row("AZKVAuditLogs", MINUTE, {"HttpStatusCode": 403}),),
    ),
    Case(
        "vault-forbidden",
        nothing,
        raised=False,
        besides=(Row("AZKVAuditLogs", MINUTE, {"HttpStatusCode": 404}),),
        note="a missing secret",
    ),
    Case(
        "log-cap-reached",
        nothing,
        raised=True,
        besides=(
            Row(
                "_LogOperation",
                MINUTE,
                {"Category": "Ingestion", "Detail": "OverQuota. Data collection stopped"},
            ),
        ),
    ),
    Case(
        "log-cap-reached",
        nothing,
        raised=False,
        besides=(
            Row("_LogOperation", MINUTE, {"Category": "Ingestion", "Detail": "Data collection resumed"}),
        ),
        note="ingestion begins again",
    ),
    Case("function-failed", nothing, raised=True, besides=failures("keep_consents_alive", 1), note="a timer"),
    Case("function-failed", nothing, raised=True, besides=failures("deliver_mail", 5), note="five mails"),
    Case("function-failed", nothing, raised=False, besides=failures("deliver_mail", 4), note="four mails"),
    Case("function-failed", nothing, raised=False, besides=failures("start_consent", 9), note="a page"),
    Case("function-failed", nothing, raised=False, besides=(request("deliver_mail"),), note="success"),
    Case("five-minute-timer-stopped", accepted, raised=True, note="no timer among the logs"),
    Case("five-minute-timer-stopped", nothing, raised=True, note="no logs at all"),
    Case(
        "five-minute-timer-stopped",
        nothing,
        raised=True,
        besides=(*(request(timer, 3 * HOUR) for timer in OFTEN), request("deliver_mail")),
        note="three hours ago",
    ),
    Case(
        "five-minute-timer-stopped",
        nothing,
        raised=False,
        besides=tuple(request(timer, HOUR) for timer in OFTEN),
        note="an hour ago",
    ),
    *(
        Case(
            "five-minute-timer-stopped",
            nothing,
            raised=True,
            besides=(request(timer, HOUR),),
            note=f"{timer} alone",
        )
        for timer in OFTEN
    ),
    Case(
        "five-minute-timer-stopped",
        nothing,
        raised=False,
        besides=tuple(row for timer in OFTEN for row in failures(timer, 1)),
        note="they run and fail",
    ),
    Case("daily-timer-stopped", nothing, raised=True, note="no logs at all"),
    *(
        Case("daily-timer-stopped", nothing, raised=True, besides=(request(ran, DAY),), note=f"{ran} alone")
        for ran in DAILY
    ),
    Case(
        "daily-timer-stopped",
        nothing,
        raised=True,
        besides=tuple(request(timer, 3 * DAY) for timer in DAILY),
        note="three days ago",
    ),
    Case(
        "daily-timer-stopped",
        nothing,
        raised=False,
        besides=tuple(request(timer, DAY + HOUR) for timer in DAILY),
        note="yesterday",
    ),
    Case(
        "app-unreachable",
        nothing,
        raised=True,
        besides=(call("West Europe", success=False), call("East US", success=False)),
        note="two places",
    ),
    Case(
        "app-unreachable",
        nothing,
        raised=False,
        besides=(
            call("West Europe", success=False),
            call("West Europe", success=False, age=16 * MINUTE),
            call("East US", success=True),
        ),
        note="one place twice",
    ),
]

RULES = Project.from_disk().alert_rules


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_alert_is_raised_only_by_its_case(case: Case) -> None:
    rows = [*logged(case.scenario), *case.besides]

    assert fires(RULES[case.alert], rows) is case.raised


def test_a_backlog_that_is_sent_at_the_predicted_times_raises_no_alert() -> None:
    timers = [request(timer, HOUR) for timer in (*OFTEN, *DAILY)]
    rows = [*logged(waiting_for_slots_of_many_hours), *timers, put(2 * HOUR)]

    assert [name for name, rule in RULES.items() if fires(rule, rows)] == []


def test_every_alert_has_cases_that_raise_it_and_that_do_not() -> None:
    tried = {(case.alert, case.raised) for case in CASES}

    assert tried == {(name, raised) for name in RULES for raised in (True, False)}


def test_the_long_deferral_alert_names_the_mail_and_its_first_deferral() -> None:
    query = RULES["mail-deferred-long"]["criteria"]["allOf"][0]["query"]
    ((tenant, mail, since),) = run(query, logged(deferred_after_waiting_for_consent), DAY)
    (elsewhere,) = run(query, logged(deferred_for_two_hours), DAY)

    assert (tenant, mail) == (CONTOSO, "m-1")
    assert abs(since - elsewhere[2]) < MINUTE
