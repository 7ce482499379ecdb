import pytest

from shared.client_credential import ClientCertificate, ClientCredential, ClientSecret, FederatedIdentity
from shared.clouds import CLOUDS
from shared.config import AppConfig, StorageConfig, check_settings
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
STORED = {**GIVEN, "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
KEY = "AccountName=StMailer;AccountKey=c2VjcmV0"
SAS = "SharedAccessSignature=sv=2026&sig=x;QueueEndpoint=https://stmailer.queue.core.windows.net"
NEEDED = [name for name in GIVEN if name not in {"SMTP_PROVIDER", "ENTRA_CLIENT_SECRET"}]


def refusal(**changes: str) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as refused:
        AppConfig.from_env({**GIVEN, **changes})
    return {"code": refused.value.code, **refused.value.params}


def test_what_is_not_set_has_a_safe_default() -> None:
    config = AppConfig.from_env(GIVEN)

    assert config.allowed_tenant_ids == {"6f1c0000-0000-4000-8000-0000000c0701"}
    assert (config.admin_role, config.on_unknown_outcome) == ("Workspace.Admin", "hold")
    assert (config.required_api_scope, config.allowed_client_ids) == ("settings", frozenset())
    assert (config.mailbox_message_limit_mb, config.delivery_retention_days) == (35, 90)
    assert config.frontend_origins == ("https://inforiver.contoso.com", "https://test.contoso.com")


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("", ()),
        (" , ", ()),
        ("reports@contoso.com", ("reports@contoso.com",)),
        (" Reports@CONTOSO.com ,, finance@contoso.com,", ("Reports@contoso.com", "finance@contoso.com")),
    ],
)
def test_the_senders_without_a_user_are_listed_one_by_one(given: str, read: tuple[str, ...]) -> None:
    assert AppConfig.from_env({**GIVEN, "APPLICATION_SENDERS": given}).application_senders == read


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
        ("GRAPH_ENDPOINT", "https://graph.microsoft.com/v1.0"),
        ("GRAPH_ENDPOINT", "https://user@graph.microsoft.com"),
        ("GRAPH_ENDPOINT", "https://graph .microsoft.com"),
        ("GRAPH_ENDPOINT", "https://graph.microsoft.com:https"),
        ("GRAPH_ENDPOINT", "https://[graph.microsoft.com"),
        ("PUBLIC_BASE_URL", "https://müller.example"),
        ("PUBLIC_BASE_URL", "https://mailer.\u212aontoso.com"),
        ("PUBLIC_BASE_URL", "https://mailer.contoso.com/é"),
        ("PUBLIC_BASE_URL", "https://mailer.contoso.com\n.contoso.com"),
        ("PUBLIC_BASE_URL", "https://mailer.contoso.com:99999"),
        ("PUBLIC_BASE_URL", "https://mailer.contoso.com:0"),
        ("PUBLIC_BASE_URL", "https://[mailer.contoso.com]"),
        ("ENTRA_AUTHORITY_HOST", "https://login.microsoftonline.com/common"),
        ("KEY_VAULT_URL", "https://mailer.vault.azure.net/secrets/smtp"),
        ("PUBLIC_BASE_URL", "https://mailer.contoso.com;https://other.contoso.com"),
        ("ENTRA_TENANT_ID", "contoso.onmicrosoft.com"),
        ("ENTRA_TENANT_ID", "{6f1c0000-0000-4000-8000-0000000c0701}"),
        ("ENTRA_TENANT_ID", '"6f1c0000-0000-4000-8000-0000000c0701"'),
        ("ENTRA_TENANT_ID", "common"),
        ("ENTRA_CLIENT_ID", "mailer"),
        ("API_AUDIENCE", "api://mailer, api://other"),
        ("API_AUDIENCE", "api://11111111-2222-4333-8444-555555555555"),
        ("ADMIN_ROLE", "Workspace Admin"),
        ("ALLOWED_TENANT_IDS", "6f1c0000-0000-4000-8000-0000000c0701; 6f1c0000-0000-4000-8000-0000000fab71"),
        ("ALLOWED_TENANT_IDS", '["6f1c0000-0000-4000-8000-0000000c0701"]'),
        ("ALLOWED_TENANT_IDS", "{6f1c0000-0000-4000-8000-0000000c0701}"),
        ("ALLOWED_TENANT_IDS", "'6f1c0000-0000-4000-8000-0000000c0701'"),
        ("ALLOWED_TENANT_IDS", "contoso.onmicrosoft.com"),
        ("ALLOWED_TENANT_IDS", "6f1c0000-0000-4000-8000-0000000fab71"),
        ("ALLOWED_TENANT_IDS", ","),
        ("AzureWebJobsStorage__clientId", "mailer-identity"),
        ("ENTRA_CLIENT_SECRET", "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s)"),
        ("ENTRA_CLIENT_SECRET", '"s3cret"'),
        ("KEY_VAULT_URL", "\u201chttps://mailer.vault.azure.net\u201d"),
        ("MICROSOFT_CLOUD", "mars"),
        ("REQUIRED_API_SCOPE", "settings profile"),
        ("ALLOWED_CLIENT_IDS", "frontend"),
        ("ALLOWED_CLIENT_IDS", "11111111-2222-4333-8444-555555555555 11111111-2222-4333-8444-555555555556"),
        ("ON_UNKNOWN_OUTCOME", "hope"),
        ("MAILBOX_MESSAGE_LIMIT_MB", "0"),
        ("MAILBOX_MESSAGE_LIMIT_MB", "211"),
        ("MAILBOX_MESSAGES_PER_MINUTE", "-1"),
        ("MAILBOX_MESSAGES_PER_MINUTE", "1001"),
        ("DELIVERY_RETENTION_DAYS", "ninety"),
        ("DELIVERY_RETENTION_DAYS", "9" * 5000),
        ("OUTCOME_QUEUES", "mail_outcomes"),
        ("OUTCOME_QUEUES", "mail-outcomes; finance-outcomes"),
        ("OUTCOME_QUEUES", "mail-outcomes,mail-outbox"),
        ("OUTCOME_QUEUES", "mail-outbox-poison"),
        ("APPLICATION_SENDERS", "reports"),
        ("APPLICATION_SENDERS", "reports@contoso.com; finance@contoso.com"),
        ("APPLICATION_SENDERS", '"reports@contoso.com"'),
        ("APPLICATION_SENDERS", "*"),
        ("APPLICATION_SENDERS", "@contoso.com"),
        ("FRONTEND_ORIGINS", ","),
        ("FRONTEND_ORIGINS", "*"),
        ("FRONTEND_ORIGINS", "https://*.contoso.com/"),
        ("FRONTEND_ORIGINS", "http://inforiver.contoso.com"),
        ("FRONTEND_ORIGINS", "https://inforiver.contoso.com/app"),
        ("FRONTEND_ORIGINS", "https://ada@inforiver.contoso.com"),
        ("FRONTEND_ORIGINS", "https://inforiver.contoso.com, null"),
        ("FRONTEND_ORIGINS", "https://[inforiver.contoso.com]"),
        ("FRONTEND_ORIGINS", "https://*.contoso.com"),
        ("FRONTEND_ORIGINS", "https://müller.example"),
        ("FRONTEND_ORIGINS", "https://Inforiver.contoso.com"),
        ("FRONTEND_ORIGINS", "https://inforiver.contoso.com:443"),
        ("FRONTEND_ORIGINS", "https://inforiver.contoso.com:05173"),
        ("FRONTEND_ORIGINS", "https://inforiver.contoso.com:99999"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    found = refusal(**{name: value})

    assert (found["code"], found["setting"]) == ("setting_invalid", name)


@pytest.mark.parametrize("name", sorted(STORED))
@pytest.mark.parametrize(
    "value", ["[", "https://[x]", "https://\u2100.example", "9" * 5000, "\u0663", "@", "=;=", "{0}", "\ud800"]
)
def test_no_value_of_a_setting_ends_the_check_of_the_others(name: str, value: str) -> None:
    found = check_settings({**STORED, name: value, "KEY_VAULT_URL": "a word"})

    assert name == "SMTP_PROVIDER" or "KEY_VAULT_URL" in {problem.params["setting"] for problem in found}


@pytest.mark.parametrize(
    ("settings", "credential"),
    [
        ({"ENTRA_CLIENT_SECRET": "s3cret"}, ClientSecret("s3cret")),
        ({"ENTRA_CLIENT_CERTIFICATE_PATH": "/certs/app.pem"}, ClientCertificate("/certs/app.pem")),
        (
            {"ENTRA_MANAGED_IDENTITY_CLIENT_ID": "22222222-2222-4333-8444-555555555555"},
            FederatedIdentity("22222222-2222-4333-8444-555555555555", "api://AzureADTokenExchange"),
        ),
    ],
)
def test_the_app_has_one_of_three_kinds_of_credential(
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
            "AzureWebJobsStorage__clientId": "33333333-2222-4333-8444-555555555555",
        }
    )

    assert storage.queue_uri == "https://mailer.queue.core.windows.net"
    assert storage.client_id == "33333333-2222-4333-8444-555555555555"


@pytest.mark.parametrize("name", ["ENTRA_CLIENT_ID", "API_AUDIENCE"])
def test_a_client_id_is_compared_as_entra_writes_it(name: str) -> None:
    config = AppConfig.from_env({**GIVEN, name: "AAAAAAAA-2222-4333-8444-555555555555"})

    assert getattr(config, name.lower()) == "aaaaaaaa-2222-4333-8444-555555555555"


def test_an_origin_may_name_a_port() -> None:
    config = AppConfig.from_env({**GIVEN, "FRONTEND_ORIGINS": "https://localhost:5173"})

    assert config.frontend_origins == ("https://localhost:5173",)


def test_client_ids_are_compared_in_lower_case() -> None:
    given = "6F1C0000-0000-4000-8000-0000000000F1 , 6f1c0000-0000-4000-8000-0000000000f2,"

    assert AppConfig.from_env({**GIVEN, "ALLOWED_CLIENT_IDS": given}).allowed_client_ids == {
        "6f1c0000-0000-4000-8000-0000000000f1",
        "6f1c0000-0000-4000-8000-0000000000f2",
    }


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ENTRA_TENANT_ID", "contoso.onmicrosoft.com", "use one GUID"),
        ("ALLOWED_TENANT_IDS", "6f1c0000-0000-4000-8000-0000000fab71", "ENTRA_TENANT_ID"),
        ("MAILBOX_MESSAGE_LIMIT_MB", "'35'", "quotation marks"),
        ("ENTRA_CLIENT_SECRET", "@Microsoft.KeyVault(VaultName=v;SecretName=s)", "not resolved"),
        ("GRAPH_ENDPOINT", "https://graph.microsoft.com/v1.0", "without a path"),
    ],
)
def test_the_error_for_an_invalid_setting_states_what_is_expected(
    name: str, value: str, expected: str
) -> None:
    assert expected in refusal(**{name: value})["reason"]


@pytest.mark.parametrize(
    ("found", "meant"),
    [
        ("ALOWED_TENANT_IDS", "ALLOWED_TENANT_IDS"),
        ("ALLOWED_TENANTS_IDS", "ALLOWED_TENANT_IDS"),
        ("allowed_tenant_ids", "ALLOWED_TENANT_IDS"),
        ("ALLOWED-TENANT-IDS", "ALLOWED_TENANT_IDS"),
        ("ON_UNKNOWN_OUTCOMES", "ON_UNKNOWN_OUTCOME"),
        ("APPLICATION_SENDER", "APPLICATION_SENDERS"),
        ("MAILBOX_MESSAGE_LIMIT", "MAILBOX_MESSAGE_LIMIT_MB"),
    ],
)
def test_a_misspelt_name_of_a_setting_is_named_with_the_right_one(found: str, meant: str) -> None:
    refused = refusal(**{found: "x"})

    assert (refused["code"], refused["setting"]) == ("setting_invalid", found)
    assert meant in refused["reason"]


@pytest.mark.parametrize(
    "name",
    [
        "AZURE_CLIENT_CERTIFICATE_PATH",
        "AZURE_CLIENT_ID",
        "APPSETTING_ALLOWED_TENANT_IDS",
        "AzureWebJobsStorage__credential",
        "AzureWebJobsStorage__accountName",
        "IDENTITY_ENDPOINT",
        "MSI_ENDPOINT",
        "WEBSITE_HOSTNAME",
        "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT",
        "ENTRA_TENANT_ID_OLD",
    ],
)
def test_a_platform_name_or_a_name_beside_the_right_one_is_no_misspelling(name: str) -> None:
    AppConfig.from_env({**GIVEN, name: "x"})


def test_everything_that_is_wrong_is_found_at_once() -> None:
    given = {**STORED, "ENTRA_TENANT_ID": "contoso", "KEY_VAULT_URL": "", "ADMIN_ROLES": "Owner"}
    given["AzureWebJobsStorage"] = "stmailer"
    given["MICROSOFT_CLOUD"], given["ENTRA_CLIENT_CERTIFICATE_PATH"] = "mars", "/certs/app.pem"

    assert sorted(problem.params["setting"] for problem in check_settings(given)) == [
        "ADMIN_ROLES",
        "AzureWebJobsStorage",
        "ENTRA_CLIENT_SECRET and ENTRA_CLIENT_CERTIFICATE_PATH",
        "ENTRA_TENANT_ID",
        "KEY_VAULT_URL",
        "MICROSOFT_CLOUD",
    ]
    assert check_settings(STORED) == ()


def test_if_the_feature_is_off_no_other_setting_is_read() -> None:
    assert [problem.code for problem in check_settings({"ENTRA_TENANT_ID": "contoso"})] == [
        "smtp_provider_not_office365"
    ]


@pytest.mark.parametrize(
    "name",
    [
        *NEEDED,
        "ENTRA_CLIENT_SECRET",
        "ENTRA_CLIENT_CERTIFICATE_PATH",
        "ENTRA_MANAGED_IDENTITY_CLIENT_ID",
        "MICROSOFT_CLOUD",
        "ENTRA_AUTHORITY_HOST",
        "ALLOWED_TENANT_IDS",
        "ADMIN_ROLE",
        "ALLOWED_CLIENT_IDS",
        "APPLICATION_SENDERS",
        "AzureWebJobsStorage__clientId",
        "ON_UNKNOWN_OUTCOME",
        "MAILBOX_MESSAGE_LIMIT_MB",
        "MAILBOX_MESSAGES_PER_MINUTE",
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        "@Microsoft.KeyVault(VaultName=mailer;SecretName=entra-client-secret)",
        " @microsoft.keyvault(SecretUri=https://mailer.vault.azure.net/secrets/one/)",
        "@Microsoft.AppConfiguration(Endpoint=https://mailer.azconfig.io; Key=one)",
    ],
)
def test_a_reference_that_was_not_resolved_names_its_setting(name: str, value: str) -> None:
    found = refusal(**{name: value})

    assert (found["code"], found["setting"]) == ("setting_invalid", name)
    assert "not resolved" in found["reason"]


def test_a_storage_reference_that_was_not_resolved_names_its_setting() -> None:
    with pytest.raises(ConfigurationError) as refused:
        StorageConfig.from_env({"AzureWebJobsStorage": "@Microsoft.KeyVault(VaultName=a;SecretName=b)"})
    assert refused.value.params["setting"] == "AzureWebJobsStorage"


@pytest.mark.parametrize(
    "value",
    [
        "stmailer",
        "https://stmailer.table.core.windows.net",
        "UseDevelopmentStorage=false",
        "UseDevelopmentStorage=True",
        "UseDevelopmentStorage=true;",
        "AccountName=st-mailer;AccountKey=c2VjcmV0",
        f"{KEY};TableEndpoint=stmailer.table.core.windows.net",
        f"{KEY};TableEndpoint=https://st mailer/",
        f"{KEY};TableEndpoint=https://stmailer:99999/",
        f"{KEY};EndpointSuffix=core windows net",
        f"{KEY};DefaultEndpointsProtocol=ftp",
        "AccountName=stmailer",
        "AccountKey=c2VjcmV0",
        "AccountName=stmailer;AccountKey=",
        "AccountName=stmailer;AccountKey=no base64",
        "AccountName=stmailer;AccountKey=c2VjcmV0;AccountKey=c2VjcmV0",
        "AccountName=stmailer;EndpointSuffix;AccountKey=c2VjcmV0",
        SAS,
    ],
)
def test_a_connection_string_that_is_none_is_found_when_the_app_starts(value: str) -> None:
    (problem,) = check_settings({**GIVEN, "AzureWebJobsStorage": value})

    assert (problem.code, problem.params["setting"]) == ("setting_invalid", "AzureWebJobsStorage")
    assert "AccountName and AccountKey" in problem.params["reason"]
    with pytest.raises(ConfigurationError):
        StorageConfig.from_env({"AzureWebJobsStorage": value})


@pytest.mark.parametrize(
    ("value", "account"),
    [
        ("UseDevelopmentStorage=true", "devstoreaccount1"),
        ("usedevelopmentstorage=true", "devstoreaccount1"),
        (f"{KEY};TableEndpoint=http://[::1]:10002/devstoreaccount1", "stmailer"),
        (f"DefaultEndpointsProtocol=https;{KEY};EndpointSuffix=core.windows.net", "stmailer"),
        (f"{KEY};", "stmailer"),
        (
            f"{SAS};BlobEndpoint=https://b.example;TableEndpoint=https://stmailer.table.core.windows.net/",
            "stmailer",
        ),
        (f"{SAS};BlobEndpoint=https://b.example;TableEndpoint=http://127.0.0.1:10002/Dev1/", "dev1"),
    ],
)
def test_a_connection_string_names_the_storage_account(value: str, account: str) -> None:
    assert check_settings({**GIVEN, "AzureWebJobsStorage": value}) == ()
    assert StorageConfig.from_env({"AzureWebJobsStorage": value}).account == account


ADDRESSES = {
    f"AzureWebJobsStorage__{service}ServiceUri": f"https://stmailer.{service}.core.windows.net"
    for service in ("table", "queue", "blob")
}


@pytest.mark.parametrize("name", [*ADDRESSES, "AzureWebJobsStorage__clientId"])
@pytest.mark.parametrize("value", ["stmailer", "http://stmailer.example", ""])
def test_an_address_of_storage_that_is_wrong_is_found_when_the_app_starts(name: str, value: str) -> None:
    if not value and name not in ADDRESSES:
        return
    (problem,) = check_settings({**GIVEN, **ADDRESSES, name: value})

    assert problem.params["setting"] == name


def test_the_storage_account_is_known_by_the_address_of_its_tables() -> None:
    assert check_settings({**GIVEN, **ADDRESSES}) == ()
    assert StorageConfig.from_env(ADDRESSES).account == "stmailer"


def test_the_queues_can_be_used_while_the_address_of_the_tables_is_wrong() -> None:
    wrong = {**ADDRESSES, "AzureWebJobsStorage__tableServiceUri": "stmailer"}

    storage = StorageConfig.from_env(wrong, ("queue",))
    assert storage.queue_uri == "https://stmailer.queue.core.windows.net"
    with pytest.raises(ConfigurationError):
        StorageConfig.from_env(wrong)
