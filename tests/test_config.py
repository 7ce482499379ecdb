import pytest

from shared.config import (
    CLOUDS,
    AppConfig,
    ClientCertificate,
    ClientCredential,
    ClientSecret,
    FederatedIdentity,
    StorageConfig,
)
from shared.errors import ConfigurationError

GIVEN = {
    "SMTP_PROVIDER": "Office365",
    "ENTRA_TENANT_ID": "6F1C0000-0000-4000-8000-0000000C0701",
    "ENTRA_CLIENT_ID": "11111111-2222-4333-8444-555555555555",
    "ENTRA_CLIENT_SECRET": "s3cret",
    "API_AUDIENCE": "11111111-2222-4333-8444-555555555555",
    "PUBLIC_BASE_URL": "https://mailer.contoso.com/",
    "FRONTEND_ORIGINS": "https://inforiver.contoso.com, https://test.contoso.com",
    "KEY_VAULT_URL": "https://mailer.vault.azure.net/",
}
NEEDED = [name for name in GIVEN if name not in {"SMTP_PROVIDER", "ENTRA_CLIENT_SECRET"}]


def refusal(**changes: str) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as refused:
        AppConfig.from_env({**GIVEN, **changes})
    return {"code": refused.value.code, **refused.value.facts}


def test_what_is_not_set_has_a_safe_default() -> None:
    config = AppConfig.from_env(GIVEN)

    assert config.allowed_tenant_ids == {"6f1c0000-0000-4000-8000-0000000c0701"}
    assert (config.admin_role, config.on_unknown_outcome) == ("Workspace.Admin", "hold")
    assert (config.mailbox_message_limit_mb, config.delivery_retention_days) == (35, 90)
    assert config.frontend_origins == ("https://inforiver.contoso.com", "https://test.contoso.com")


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_setting_is_named(name: str) -> None:
    assert refusal(**{name: " "}) == {"code": "setting_missing", "setting": name}


@pytest.mark.parametrize("provider", ["", "Smtp", "office365"])
def test_any_other_provider_switches_the_feature_off(provider: str) -> None:
    assert refusal(SMTP_PROVIDER=provider)["code"] == "smtp_provider_not_office365"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_BASE_URL", "http://mailer.contoso.com"),
        ("PUBLIC_BASE_URL", "mailer.contoso.com"),
        ("KEY_VAULT_URL", "https://"),
        ("GRAPH_ENDPOINT", "https://graph.microsoft.com?x=1"),
        ("MICROSOFT_CLOUD", "mars"),
        ("ON_UNKNOWN_OUTCOME", "hope"),
        ("MAILBOX_MESSAGE_LIMIT_MB", "0"),
        ("MAILBOX_MESSAGE_LIMIT_MB", "211"),
        ("DELIVERY_RETENTION_DAYS", "ninety"),
        ("FRONTEND_ORIGINS", ","),
        ("FRONTEND_ORIGINS", "*"),
        ("FRONTEND_ORIGINS", "https://*.contoso.com/"),
        ("FRONTEND_ORIGINS", "http://inforiver.contoso.com"),
        ("FRONTEND_ORIGINS", "https://inforiver.contoso.com/app"),
        ("FRONTEND_ORIGINS", "https://ada@inforiver.contoso.com"),
        ("FRONTEND_ORIGINS", "https://inforiver.contoso.com, null"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    found = refusal(**{name: value})

    assert (found["code"], found["setting"]) == ("setting_invalid", name)


@pytest.mark.parametrize(
    ("settings", "credential"),
    [
        ({"ENTRA_CLIENT_SECRET": "s3cret"}, ClientSecret("s3cret")),
        ({"ENTRA_CLIENT_CERTIFICATE_PATH": "/certs/app.pem"}, ClientCertificate("/certs/app.pem")),
        (
            {"ENTRA_MANAGED_IDENTITY_CLIENT_ID": "an-id"},
            FederatedIdentity("an-id", "api://AzureADTokenExchange"),
        ),
    ],
)
def test_the_app_proves_itself_in_one_of_three_ways(
    settings: dict[str, str], credential: ClientCredential
) -> None:
    environment = {name: value for name, value in GIVEN.items() if name != "ENTRA_CLIENT_SECRET"}

    assert AppConfig.from_env(environment | settings).credential == credential


def test_no_credential_at_all_is_refused() -> None:
    found = refusal(ENTRA_CLIENT_SECRET="")

    assert found["code"] == "setting_missing"
    assert "ENTRA_MANAGED_IDENTITY_CLIENT_ID" in found["setting"]


def test_two_credentials_at_once_are_refused() -> None:
    found = refusal(ENTRA_CLIENT_CERTIFICATE_PATH="/certs/app.pem")

    assert found["setting"] == "ENTRA_CLIENT_SECRET and ENTRA_CLIENT_CERTIFICATE_PATH"


def test_a_secret_is_not_in_the_text_of_the_configuration() -> None:
    assert "s3cret" not in repr(AppConfig.from_env(GIVEN))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_cloud_has_its_own_hosts(cloud: str) -> None:
    config = AppConfig.from_env({**GIVEN, "MICROSOFT_CLOUD": cloud})

    assert config.graph_endpoint == CLOUDS[cloud].graph_endpoint
    assert config.authority("a-tenant") == f"{CLOUDS[cloud].authority_host}/a-tenant"


def test_a_host_can_be_set_apart_from_its_cloud() -> None:
    config = AppConfig.from_env({**GIVEN, "ENTRA_AUTHORITY_HOST": "https://127.0.0.1:8443/"})

    assert config.authority_host == "https://127.0.0.1:8443"


def test_storage_is_reached_by_a_connection_string_on_a_laptop() -> None:
    storage = StorageConfig.from_env({"AzureWebJobsStorage": "UseDevelopmentStorage=true"})

    assert storage == StorageConfig("UseDevelopmentStorage=true")


def test_storage_is_reached_by_an_identity_in_azure() -> None:
    storage = StorageConfig.from_env(
        {
            "AzureWebJobsStorage__tableServiceUri": "https://mailer.table.core.windows.net",
            "AzureWebJobsStorage__queueServiceUri": "https://mailer.queue.core.windows.net",
            "AzureWebJobsStorage__blobServiceUri": "https://mailer.blob.core.windows.net",
            "AzureWebJobsStorage__clientId": "an-id",
        }
    )

    assert storage.queue_uri == "https://mailer.queue.core.windows.net"
    assert storage.client_id == "an-id"


def test_a_client_id_is_compared_as_entra_writes_it() -> None:
    config = AppConfig.from_env({**GIVEN, "ENTRA_CLIENT_ID": "AAAAAAAA-2222-4333-8444-555555555555"})

    assert config.entra_client_id == "aaaaaaaa-2222-4333-8444-555555555555"


def test_an_origin_may_name_a_port() -> None:
    config = AppConfig.from_env({**GIVEN, "FRONTEND_ORIGINS": "https://localhost:5173"})

    assert config.frontend_origins == ("https://localhost:5173",)
