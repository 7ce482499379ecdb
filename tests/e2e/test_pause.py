"""Pause and resume by the operator's command, while the host runs."""

import pytest

from tests.local_stack.clients import Admin, Scheduler, wait_for
from tests.local_stack.operator_commands import operate
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.stack

BODY = {"contentType": "text", "content": "Up 4 %"}


def test_a_mail_waits_while_sending_is_paused_and_is_sent_after_it(
    enabled: Admin, scheduler: Scheduler, stack: LocalStack
) -> None:
    storage = stack.azurite.connection_string
    operate(storage, "pause", "--reason", "installing version 1.4")
    try:
        shown = wait_for(lambda: enabled.settings()["sendingPaused"], "the pause on the page")
        assert shown["reason"] == "installing version 1.4"
        assert operate(storage, "wait", "--minutes", "1").endswith("No mail is being sent.\n")
        scheduler.queue("paused:1", to=["cfo@contoso.com"], subject="paused:1", body=BODY)
        waiting = enabled.delivery("paused:1", "deferred")
        assert waiting["problem"]["title"] == "Sending is paused"
        assert waiting["attempt"] == 0
        assert not any(mail.subject == "paused:1" for mail in stack.microsoft365.mails())
        assert "deferred: 0" not in operate(storage, "status")
    finally:
        operate(storage, "resume")

    sent = wait_for(
        lambda: next((mail for mail in stack.microsoft365.mails() if mail.subject == "paused:1"), None),
        "the mail after the pause",
        90,
    )
    assert sent.body == BODY["content"]
    assert enabled.delivery("paused:1", "accepted")["attempt"] == 1
