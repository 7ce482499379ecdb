"""Take over a tenant whose app registration was replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.errors import ConfigurationError
from shared.operate.__main__ import main
from shared.settings.tenant import Status
from tests.api_client import complete_consent
from tests.builders import a_consent, enabled_services, some_settings
from tests.fakes import CLIENT_ID, CONTOSO, STORAGE_ACCOUNT, FakeServices

if TYPE_CHECKING:
    from collections.abc import Callable

OTHER = "99999999-2222-4333-8444-555555555555"


@pytest.fixture
def services() -> FakeServices:
    """Build a tenant whose settings an earlier app registration wrote."""
    return enabled_services(installation=OTHER, last_version=4)


@pytest.fixture
def read_output(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().out


def test_the_first_call_names_both_and_changes_nothing(
    services: FakeServices, read_output: Callable[[], str]
) -> None:
    before = services.settings.load(CONTOSO)

    assert main(["take-over", CONTOSO], services) == 0
    text = read_output()
    assert OTHER in text
    assert CLIENT_ID in text
    assert services.settings.load(CONTOSO) == before


def test_naming_another_registration_changes_nothing(services: FakeServices) -> None:
    assert main(["take-over", CONTOSO, "--confirm", CLIENT_ID], services) == 1
    assert services.settings.load(CONTOSO).installation == OTHER


def test_with_the_name_of_the_old_registration_an_admin_can_consent_again(services: FakeServices) -> None:
    assert main(["take-over", CONTOSO, "--confirm", OTHER], services) == 0
    assert services.settings.load(CONTOSO).consent is None
    (action,) = services.operator_log.actions
    assert (action.action, action.tenant_id) == ("take_over_tenant", CONTOSO)

    complete_consent(services)
    consent = services.settings.load(CONTOSO).consent
    assert consent is not None
    assert consent.version == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"installation": CLIENT_ID},
        {"installation": CLIENT_ID, "storage_account": STORAGE_ACCOUNT},
        {"consent": None, "status": Status.NOT_CONFIGURED},
    ],
)
def test_of_ones_own_settings_there_is_nothing_to_take_over(
    changes: dict[str, Any], read_output: Callable[[], str]
) -> None:
    services = FakeServices()
    services.settings.save(some_settings(**changes))
    before = services.settings.load(CONTOSO)

    assert main(["take-over", CONTOSO, "--confirm", CLIENT_ID], services) == 0
    assert "Nothing to take over" in read_output()
    assert services.settings.load(CONTOSO) == before


def unmarked() -> FakeServices:
    """Build an unmarked tenant that sends with application permission."""
    services = FakeServices()
    services.settings.save(some_settings(consent=a_consent(account=None, secret_name=None)))
    return services


@pytest.mark.parametrize(
    ("confirm", "result", "text"),
    [
        ([], 0, f"repeat the command with --confirm {CLIENT_ID}"),
        (["--confirm", OTHER], 1, f"{OTHER} is not this installation"),
    ],
)
def test_untagged_settings_are_tagged_only_if_named_by_the_operator(
    confirm: list[str], result: int, text: str, read_output: Callable[[], str]
) -> None:
    services = unmarked()
    before = services.settings.load(CONTOSO)

    assert main(["take-over", CONTOSO, *confirm], services) == result
    assert text in read_output()
    assert services.settings.load(CONTOSO) == before


def test_settings_with_application_permission_are_kept_and_marked() -> None:
    services = unmarked()
    before = services.settings.load(CONTOSO)

    assert main(["take-over", CONTOSO, "--confirm", CLIENT_ID], services) == 0
    found = services.settings.load(CONTOSO)
    assert (found.installation, found.storage_account) == (CLIENT_ID, STORAGE_ACCOUNT)
    assert found.consent == before.consent
    (action,) = services.operator_log.actions
    assert (action.action, action.result) == ("take_over_tenant", "marked")


def test_settings_of_another_storage_account_are_taken_over_by_its_name(
    read_output: Callable[[], str],
) -> None:
    services = enabled_services(installation=CLIENT_ID, storage_account="stold", last_version=4)

    assert main(["take-over", CONTOSO, "--confirm", CLIENT_ID], services) == 1
    assert f"the storage account stold; this one is {STORAGE_ACCOUNT}" in read_output()
    assert main(["take-over", CONTOSO, "--confirm", "stold"], services) == 0
    assert services.settings.load(CONTOSO).consent is None


@pytest.mark.parametrize("missing", ["installation", "storage_account"])
def test_without_the_apps_settings_nothing_is_taken_over(
    services: FakeServices, missing: str, read_output: Callable[[], str]
) -> None:
    setattr(services, missing, None)
    before = services.settings.load(CONTOSO)

    assert main(["take-over", CONTOSO, "--confirm", OTHER], services) == 1
    assert "settings are not set in this shell" in read_output()
    assert services.settings.load(CONTOSO) == before


def test_the_client_id_is_known_while_another_setting_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from shared.lazy_config import LazyConfig

    monkeypatch.delenv("SMTP_PROVIDER", raising=False)
    monkeypatch.setenv("AzureWebJobsStorage", "garbage")
    monkeypatch.setenv("ENTRA_CLIENT_ID", CLIENT_ID)
    assert LazyConfig().installation == CLIENT_ID
    monkeypatch.setenv("ENTRA_CLIENT_ID", "mailer")
    assert LazyConfig().installation is None
    assert LazyConfig().storage_account is None
    with pytest.raises(ConfigurationError):
        _ = LazyConfig().config
