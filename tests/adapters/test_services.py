"""The app's services, built from settings, and their probes."""

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.queue import AccountSasPermissions, QueueClient, ResourceTypes, generate_account_sas

from shared.api.health import read_readiness
from shared.bootstrap import Services
from shared.errors import ConfigurationError
from shared.sending.deliver import deliver
from shared.sending.rate_limit.schedule import Schedule
from shared.sending.rate_limit.throttle import Throttle
from shared.storage_names import API_VERSION, MAIL_OUTBOX
from tests.adapters.test_credentials import KeyPair
from tests.api_client import a_request
from tests.builders import ADMIN, a_consent, a_message, some_settings
from tests.local_stack.azurite import Azurite
from tests.local_stack.fixtures import ServedVault
from tests.local_stack.microsoft365.contoso import CLIENT_ID, CONTOSO

PARTS = {"switch", "poisonQueue", "outbox", "tables", "queue", "blobs", "vault", "entra"}


def parts(services: Services) -> dict[str, str | None]:
    """Return the problem of each part."""
    found = json.loads(read_readiness(a_request(), ADMIN, services).body)["parts"]
    return {name: part["problem"] and part["problem"]["code"] for name, part in found.items()}


def test_every_part_of_a_complete_deployment_responds(environment: None) -> None:
    assert parts(Services()) == dict.fromkeys(PARTS)


def test_a_setting_that_is_wrong_shows_in_the_part_that_needs_it(
    environment: None, key_vault: ServedVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_VAULT_URL", "https://127.0.0.1:9")

    assert parts(Services()) == {**dict.fromkeys(PARTS), "vault": "key_vault_unavailable"}


def test_only_the_tenants_of_the_settings_are_served(environment: None) -> None:
    services = Services()

    assert services.allowed_tenants == frozenset({CONTOSO})
    assert services.home_tenant == CONTOSO


def test_what_the_operator_chose_reaches_sending(environment: None) -> None:
    services = Services()

    assert (services.message_limit_mb, services.retention_days) == (35, 90)
    assert services.messages_per_minute == 0
    assert services.resends_unknown is False
    assert services.drafts.load(CONTOSO, "never-kept") is None
    assert isinstance(services.throttle, Throttle)
    assert services.schedules.load("never-written")[0] == Schedule()


def test_unmarked_settings_are_adopted_by_the_installation_of_their_tokens(
    environment: None,
) -> None:
    services = Services()
    tenant = str(uuid.uuid4())
    name = f"smtp-{tenant}-1"
    services.stored_settings.save(
        replace(some_settings(), tenant_id=tenant, consent=a_consent(secret_name=name))
    )
    with pytest.raises(ConfigurationError) as unknown:
        services.settings.load(tenant)
    assert unknown.value.params == {"ours": CLIENT_ID, "theirs": "unknown", "unmarked": "yes"}

    services.vault.write(name, json.dumps({"RefreshToken": {"a": {"client_id": CLIENT_ID}}}))
    assert services.settings.load(tenant).installation == CLIENT_ID == services.installation


def test_a_message_returns_to_the_queue_while_the_table_address_is_wrong(
    environment: None, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = dict(part.split("=", 1) for part in azurite.connection_string.rstrip(";").split(";"))
    sas = generate_account_sas(
        parts["AccountName"],
        parts["AccountKey"],
        ResourceTypes(object=True, container=True, service=True),
        AccountSasPermissions(read=True, write=True, add=True, process=True),
        datetime.now(UTC) + timedelta(hours=1),
    )
    queues = f"SharedAccessSignature={sas};QueueEndpoint={parts['QueueEndpoint']}"
    monkeypatch.setenv("AzureWebJobsStorage", queues)
    services = Services()
    mail = a_message(messageId=str(uuid.uuid4()))

    with QueueClient.from_connection_string(
        azurite.connection_string, MAIL_OUTBOX, api_version=API_VERSION
    ) as queue:
        queue.clear_messages()
        deliver(mail, "q-1", services)
        # It is hidden for 15 seconds at least.
        assert queue.get_queue_properties().approximate_message_count == 1
        queue.clear_messages()


def test_a_certificate_that_cannot_be_used_is_found_when_the_app_starts(
    environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENTRA_CLIENT_SECRET")
    monkeypatch.setenv("ENTRA_CLIENT_CERTIFICATE_PATH", str(tmp_path / "missing.pem"))

    (problem,) = Services().setting_problems
    assert (problem.code, problem.params["setting"]) == ("setting_invalid", "ENTRA_CLIENT_CERTIFICATE_PATH")
    assert "PEM or PFX" in problem.params["reason"]


def test_a_certificate_that_can_be_used_is_no_problem(
    environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = KeyPair()
    (tmp_path / "app.pem").write_bytes(pair.key_pem() + pair.public_pem)
    assert Services().setting_problems == ()
    monkeypatch.delenv("ENTRA_CLIENT_SECRET")
    monkeypatch.setenv("ENTRA_CLIENT_CERTIFICATE_PATH", str(tmp_path / "app.pem"))

    assert Services().setting_problems == ()
