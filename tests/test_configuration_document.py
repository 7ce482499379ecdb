from shared import config
from shared.clouds import CLOUDS
from tests.configuration_document import _DERIVED, DOCUMENT, PURPOSES, _read, document, settings

HOME = "6f1c0000-0000-4000-8000-00000000c0de"


def test_the_document_of_settings_is_generated_from_the_code() -> None:
    assert DOCUMENT.read_text("utf-8") == document(), "run make documents"


def test_every_setting_that_is_read_has_a_purpose() -> None:
    purposes = [name for group in PURPOSES.values() for name in group]

    assert sorted(purposes) == sorted(settings())


def test_a_value_is_described_as_its_check_describes_it() -> None:
    found = settings()

    assert found["MAILBOX_MESSAGE_LIMIT_MB"].expected == "a whole number from 1 to 210"
    assert found["MICROSOFT_CLOUD"].expected == f"one of {', '.join(CLOUDS)}"
    assert found["AzureWebJobsStorage__queueServiceUri"].expected == "an https address in ASCII"
    assert found["AzureWebJobsStorage"].expected.startswith("the connection string of a storage account")


def test_a_default_that_follows_from_another_setting_is_named_so() -> None:
    plain = _read({"SMTP_PROVIDER": config.OFFICE365}).defaults
    elsewhere = {"SMTP_PROVIDER": config.OFFICE365, "ENTRA_TENANT_ID": HOME, "MICROSOFT_CLOUD": "china"}

    assert {name for name, value in _read(elsewhere).defaults.items() if value != plain[name]} == set(
        _DERIVED
    )


def test_the_hosts_of_each_cloud_are_listed() -> None:
    text = DOCUMENT.read_text("utf-8")

    for name, cloud in CLOUDS.items():
        assert f"| `{name}` | `{cloud.authority_host}` | `{cloud.graph_endpoint}` |" in text
