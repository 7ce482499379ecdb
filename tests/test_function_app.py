"""The app as Azure's runtime indexes it, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

HTTP = {
    "get_health": ("GET", "health"),
    "get_tenant_settings": ("GET", "tenant-settings/smtp"),
    "enable_sending": ("POST", "tenant-settings/smtp/enable"),
    "save_tenant_settings": ("PUT", "tenant-settings/smtp"),
    "reset_tenant_settings": ("POST", "tenant-settings/smtp/reset"),
    "check_tenant_settings": ("POST", "tenant-settings/smtp/check"),
    "get_openapi": ("GET", "openapi.json"),
    "get_readiness": ("GET", "health/ready"),
    "show_consent_start": ("GET", "consent/{flow_id:guid}/start"),
    "start_consent": ("POST", "consent/{flow_id:guid}/start"),
    "finish_consent": ("POST", "consent/callback"),
    "finish_admin_consent": ("GET", "consent/callback"),
    "decide_consent": ("POST", "consent/{flow_id:guid}/decision"),
    "show_consent_result": ("GET", "consent/result"),
    "get_consent": ("GET", "consent/{flow_id:guid}"),
    "list_deliveries": ("GET", "deliveries"),
    "get_delivery": ("GET", "deliveries/{message_id}"),
    "retry_delivery": ("POST", "deliveries/{message_id}/retry"),
    "retry_deliveries": ("POST", "deliveries/retry"),
    "send_test_mail": ("POST", "tenant-settings/smtp/test-mail"),
}
QUEUES = {"deliver_mail": "mail-outbox", "record_poisoned_mail": "mail-outbox-poison"}
TIMERS = {
    "release_waiting_mails": "0 */5 * * * *",
    "delete_abandoned_consents": "0 */5 * * * *",
    "keep_consents_alive": "0 17 3 * * *",
    "remove_finished_deliveries": "0 47 2 * * *",
}

INDEX = """
import asyncio, json
from pathlib import Path
from tests.local_stack.host.worker_main import index

found = asyncio.run(index(Path.cwd()))
print(json.dumps({function.name: function.bindings for function in found.functions}))
"""

LOADED = """
import json, sys
import function_app
print(json.dumps(sorted(sys.modules)))
"""

#: Each costs a tenth of a second or more at every cold start.
HEAVY = (
    "azure.core",
    "azure.data",
    "azure.identity",
    "azure.keyvault",
    "azure.storage",
    "jwt",
    "msal",
    "pydantic",
)


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def functions() -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = json.loads(run(INDEX))
    return found


def test_every_function_is_indexed_and_no_other(functions: dict[str, list[dict[str, object]]]) -> None:
    assert set(functions) == {*HTTP, *QUEUES, *TIMERS}


@pytest.mark.parametrize("name", HTTP)
def test_an_endpoint_has_route_and_verb_and_authenticates_in_the_app(
    name: str, functions: dict[str, list[dict[str, object]]]
) -> None:
    trigger = functions[name][0]

    assert (trigger["methods"], trigger["route"]) == ([HTTP[name][0]], HTTP[name][1])
    assert str(trigger["authLevel"]).lower().endswith("anonymous")


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_function_reads_its_queue(name: str, functions: dict[str, list[dict[str, object]]]) -> None:
    trigger = functions[name][0]

    assert (trigger["type"], trigger["queueName"]) == ("queueTrigger", QUEUES[name])
    assert trigger["connection"] == "AzureWebJobsStorage"
    # With anything else the host decodes the message itself, and what it cannot decode never arrives.
    assert str(trigger["dataType"]).lower().endswith("binary")
    assert json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]["messageEncoding"] == "none"


@pytest.mark.parametrize("name", TIMERS)
def test_a_timer_runs_on_its_schedule_and_not_at_each_start(
    name: str, functions: dict[str, list[dict[str, object]]]
) -> None:
    trigger = functions[name][0]

    assert (trigger["type"], trigger["schedule"]) == ("timerTrigger", TIMERS[name])
    assert trigger.get("runOnStartup") in (False, None)


def test_importing_the_app_loads_no_sdk() -> None:
    loaded = json.loads(run(LOADED))

    assert [name for name in loaded if name.startswith(HEAVY) or name == "requests"] == []
