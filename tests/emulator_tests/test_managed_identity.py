import jwt
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

from tests.local_stack.fixtures import TENANT_ID, ServedIdentity
from tests.local_stack.managed_identity import TOKEN_EXCHANGE

VAULT = "https://vault.azure.net"


@pytest.fixture(autouse=True)
def app_service(managed_identity: ServedIdentity, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in managed_identity.settings.items():
        monkeypatch.setenv(name, value)


def test_the_default_credential_gets_a_system_assigned_identity_token(
    managed_identity: ServedIdentity,
) -> None:
    token = DefaultAzureCredential().get_token(f"{VAULT}/.default").token

    claims = managed_identity.identity.verify(token, VAULT)
    assert claims["oid"] == managed_identity.identity.system_assigned.principal_id
    assert claims["tid"] == TENANT_ID


def test_a_client_id_names_the_user_assigned_identity(managed_identity: ServedIdentity) -> None:
    user_assigned = managed_identity.identity.user_assigned

    token = ManagedIdentityCredential(client_id=user_assigned.client_id).get_token(f"{VAULT}/.default").token

    assert managed_identity.identity.verify(token, VAULT)["sub"] == user_assigned.principal_id


def test_an_unknown_client_id_gets_no_token() -> None:
    with pytest.raises(ClientAuthenticationError, match="Unable to load the proper Managed Identity"):
        ManagedIdentityCredential(client_id="another").get_token(f"{VAULT}/.default")


def test_a_token_for_the_exchange_names_entra_as_its_issuer(managed_identity: ServedIdentity) -> None:
    identity = managed_identity.identity
    credential = ManagedIdentityCredential(client_id=identity.user_assigned.client_id)

    token = credential.get_token(f"{TOKEN_EXCHANGE}/.default").token

    claims = identity.verify(token, TOKEN_EXCHANGE)
    assert claims["iss"] == f"{identity.authority}/{TENANT_ID}/v2.0"
    assert claims["sub"] == identity.user_assigned.principal_id
    assert jwt.get_unverified_header(token)["alg"] == "RS256"


@pytest.mark.parametrize(
    ("lifetime", "resource"), [(-1, VAULT), (3600, "https://storage.azure.com")], ids=["expired", "foreign"]
)
def test_an_expired_token_and_one_for_another_resource_are_refused(
    managed_identity: ServedIdentity, lifetime: int, resource: str
) -> None:
    token = managed_identity.identity.token(resource, lifetime=lifetime)

    with pytest.raises(jwt.InvalidTokenError):
        managed_identity.identity.verify(token, VAULT)


@pytest.mark.parametrize(
    ("header", "query", "status"),
    [
        ("wrong", {"resource": VAULT, "api-version": "2019-08-01"}, 401),
        (None, {"resource": VAULT, "api-version": "2017-09-01"}, 400),
        (None, {"api-version": "2019-08-01"}, 400),
    ],
    ids=["foreign header", "old api-version", "no resource"],
)
def test_the_endpoint_refuses_what_app_service_refuses(
    managed_identity: ServedIdentity, header: str | None, query: dict[str, str], status: int
) -> None:
    settings = managed_identity.settings
    response = requests.get(
        settings["IDENTITY_ENDPOINT"],
        params=query,
        headers={"X-IDENTITY-HEADER": header or settings["IDENTITY_HEADER"]},
        timeout=5,
    )

    assert response.status_code == status
    assert "access_token" not in response.text


def test_faults_are_also_set_over_http(managed_identity: ServedIdentity) -> None:
    endpoint = managed_identity.settings["IDENTITY_ENDPOINT"]
    control = endpoint.replace("/msi/token", "/_control")
    query = {"resource": VAULT, "api-version": "2019-08-01"}
    headers = {"X-IDENTITY-HEADER": managed_identity.settings["IDENTITY_HEADER"]}

    added = requests.post(control, json={"status": 429, "retry_after": "7"}, timeout=5)
    failed = requests.get(endpoint, params=query, headers=headers, timeout=5)
    received = requests.get(endpoint, params=query, headers=headers, timeout=5)

    assert (added.status_code, failed.status_code, failed.headers["Retry-After"]) == (204, 429, "7")
    assert received.json()["access_token"]
    assert VAULT in requests.get(control, timeout=5).json()["requests"]
    assert requests.delete(control, timeout=5).status_code == 204
