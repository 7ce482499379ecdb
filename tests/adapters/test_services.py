"""The app's parts, put together by settings alone and asked whether they answer."""

import json

import pytest

from shared.bootstrap import Services
from shared.sending.pauses import Pauses
from shared.web.readiness import read_readiness
from tests.builders import ADMIN
from tests.calls import a_request
from tests.local_stack.fixtures import ServedVault
from tests.local_stack.microsoft365.contoso import CONTOSO

PARTS = {"tables", "queue", "blobs", "vault", "entra"}


def parts(services: Services) -> dict[str, str | None]:
    """Return what is wrong with each part."""
    found = json.loads(read_readiness(a_request(), ADMIN, services).body)["parts"]
    return {name: part["problem"] and part["problem"]["code"] for name, part in found.items()}


def test_a_deployment_that_is_whole_answers_in_every_part(environment: None) -> None:
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
    assert services.resends_unknown is False
    assert services.drafts.load(CONTOSO, "never-kept") is None
    assert isinstance(services.pauses, Pauses)
