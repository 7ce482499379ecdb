"""The operator's command finds and deletes a person's data in storage."""

import re

import pytest

from tests.local_stack.clients import Admin, Scheduler
from tests.local_stack.operator_commands import operate
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.stack

EVE = "eve.leaves@contoso.com"


def test_requests_to_a_person_are_deleted_and_the_delivery_log_remains(
    enabled: Admin, scheduler: Scheduler, stack: LocalStack
) -> None:
    storage = stack.azurite.connection_string
    body = {"contentType": "text", "content": f"For {EVE.upper()}"}
    scheduler.queue("subject:1", to=[EVE], subject="1", body=body, expiresAt="2020-01-01T00:00:00Z")
    before = enabled.delivery("subject:1", "expired")

    found = operate(storage, "delete-address", EVE)
    assert "Finished mails: 1" in found
    (code,) = re.findall(r"--confirm (\w+)", found)
    assert "Deleted." in operate(storage, "delete-address", EVE, "--confirm", code)

    assert "No data with this address can be deleted now." in operate(storage, "delete-address", EVE)
    assert enabled.delivery("subject:1", "expired")["history"] == before["history"]
    assert enabled.call("POST", "deliveries/subject:1/retry").status_code >= 400
