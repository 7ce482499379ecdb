import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.faults import Fault
from tests.local_stack.fixtures import ServedIdentity, ServedVault
from tests.local_stack.key_vault import KeyVault
from tests.local_stack.managed_identity import ManagedIdentity
from tests.local_stack.serving import serve
from tests.local_stack.vault_secrets import MAX_VALUE_BYTES, VaultError, VaultSecrets


@pytest.fixture
def client(
    key_vault: ServedVault,
    managed_identity: ServedIdentity,
    local_authority: LocalAuthority,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[SecretClient]:
    for name, value in managed_identity.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(local_authority.bundle))
    with SecretClient(key_vault.url, ManagedIdentityCredential()) as client:
        yield client
    key_vault.vault.faults.clear()


@pytest.fixture
def name() -> str:
    return f"smtp-{uuid.uuid4()}"


def test_the_sdk_sends_a_managed_identity_token_after_the_challenge(
    client: SecretClient, key_vault: ServedVault, name: str
) -> None:
    client.set_secret(name, "tokens")

    assert key_vault.vault.secrets.versions(name)[0].value == "tokens"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        ManagedIdentity("tenant").token("https://0.0.1"),
    ],
    ids=["none", "nonsense", "of another issuer"],
)
def test_a_request_without_a_token_of_our_identity_is_challenged(
    key_vault: ServedVault, local_authority: LocalAuthority, token: str
) -> None:
    response = requests.get(
        f"{key_vault.url}/secrets",
        headers={"Authorization": f"Bearer {token}"},
        verify=str(local_authority.ca_file),
        timeout=5,
    )

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer authorization=")


def test_a_token_for_another_resource_is_refused(
    key_vault: ServedVault, managed_identity: ServedIdentity, local_authority: LocalAuthority
) -> None:
    token = managed_identity.identity.token("https://storage.azure.com")

    response = requests.get(
        f"{key_vault.url}/secrets",
        headers={"Authorization": f"Bearer {token}"},
        verify=str(local_authority.ca_file),
        timeout=5,
    )

    assert response.status_code == 401


def test_each_set_adds_a_version_and_the_newest_is_read(client: SecretClient, name: str) -> None:
    first = client.set_secret(name, "one", tags={"generation": "1"}, content_type="application/json")
    second = client.set_secret(name, "two")

    assert client.get_secret(name).value == "two"
    old = client.get_secret(name, first.properties.version)
    assert (old.value, old.properties.tags, old.properties.content_type) == (
        "one",
        {"generation": "1"},
        "application/json",
    )
    versions = {each.version for each in client.list_properties_of_secret_versions(name)}
    assert versions == {first.properties.version, second.properties.version}


def test_a_list_continues_over_several_pages(client: SecretClient, name: str) -> None:
    names = {f"{name}-{number}" for number in range(7)}
    for each in names:
        client.set_secret(each, "value")

    listed = {each.name for each in client.list_properties_of_secrets(max_page_size=3)}

    assert names <= listed


def test_attributes_and_tags_change_without_a_new_version(
    client: SecretClient, key_vault: ServedVault, name: str
) -> None:
    expiry = datetime(2027, 1, 1, tzinfo=UTC)
    client.set_secret(name, "value", expires_on=expiry - timedelta(days=1))

    client.update_secret_properties(name, tags={"state": "kept"}, expires_on=expiry)

    found = client.get_secret(name)
    assert (found.properties.expires_on, found.properties.tags) == (expiry, {"state": "kept"})
    assert len(key_vault.vault.secrets.versions(name)) == 1


def test_an_expired_secret_is_still_read(client: SecretClient, name: str) -> None:
    # https://learn.microsoft.com/azure/key-vault/secrets/about-secrets: nbf and exp are for information.
    client.set_secret(name, "value", expires_on=datetime(2020, 1, 1, tzinfo=UTC))

    assert client.get_secret(name).value == "value"


def test_a_disabled_version_is_forbidden_and_can_be_enabled_again(client: SecretClient, name: str) -> None:
    version = client.set_secret(name, "value").properties.version
    client.update_secret_properties(name, version, enabled=False)

    with pytest.raises(HttpResponseError) as refused:
        client.get_secret(name)
    client.update_secret_properties(name, version, enabled=True)

    assert refused.value.status_code == 403
    assert refused.value.model is not None
    assert "SecretDisabled" in str(refused.value)
    assert client.get_secret(name).value == "value"


def test_a_secret_that_is_not_there_is_not_found(client: SecretClient, name: str) -> None:
    client.set_secret(name, "value")

    with pytest.raises(ResourceNotFoundError):
        client.get_secret(f"{name}-other")
    with pytest.raises(ResourceNotFoundError):
        client.get_secret(name, "0" * 32)
    with pytest.raises(ResourceNotFoundError):
        client.get_deleted_secret(name)


def test_a_deleted_name_is_taken_until_it_is_recovered(client: SecretClient, name: str) -> None:
    client.set_secret(name, "one")
    client.set_secret(name, "two")
    client.begin_delete_secret(name).wait()

    with pytest.raises(ResourceNotFoundError):
        client.get_secret(name)
    with pytest.raises(ResourceExistsError, match="ObjectIsDeletedButRecoverable"):
        client.set_secret(name, "three")
    assert name in {each.name for each in client.list_deleted_secrets()}
    deleted = client.get_deleted_secret(name)
    assert deleted.scheduled_purge_date is not None
    assert deleted.deleted_date is not None
    assert deleted.scheduled_purge_date - deleted.deleted_date == timedelta(days=90)

    client.begin_recover_deleted_secret(name).wait()

    assert client.get_secret(name).value == "two"
    assert len(list(client.list_properties_of_secret_versions(name))) == 2


def test_a_purged_name_is_free_and_its_versions_are_gone(client: SecretClient, name: str) -> None:
    client.set_secret(name, "one")
    client.begin_delete_secret(name).wait()
    client.purge_deleted_secret(name)

    client.set_secret(name, "two")

    assert len(list(client.list_properties_of_secret_versions(name))) == 1


def test_names_are_not_case_sensitive(client: SecretClient, name: str) -> None:
    client.set_secret(name, "value")

    assert client.get_secret(name.upper()).value == "value"


def test_purge_protection_forbids_a_purge_and_shows_in_the_recovery_level(
    managed_identity: ServedIdentity, local_authority: LocalAuthority, client: SecretClient, name: str
) -> None:
    vault = KeyVault(
        managed_identity.identity,
        VaultSecrets(lambda: datetime.now(UTC).timestamp(), purge_protection=True, retention_days=7),
    )
    with (
        serve(vault.app(), local_authority.server_context()) as server,
        SecretClient(server.url, ManagedIdentityCredential()) as protected,
    ):
        made = protected.set_secret(name, "value")
        protected.begin_delete_secret(name).wait()
        with pytest.raises(HttpResponseError) as refused:
            protected.purge_deleted_secret(name)

    assert refused.value.status_code == 403
    assert made.properties.recovery_level == "CustomizedRecoverable"
    assert client.set_secret(name, "value").properties.recovery_level == "Recoverable+Purgeable"


def test_a_deleted_secret_is_gone_after_its_retention() -> None:
    now = 0.0
    secrets = VaultSecrets(lambda: now, retention_days=7)
    secrets.set("name", {"value": "one"})
    secrets.delete("name")

    now = 7 * 86_400 - 1
    assert [each.name for each in secrets.deleted()] == ["name"]
    now = 7 * 86_400
    assert secrets.deleted() == []
    assert secrets.set("name", {"value": "two"}).value == "two"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("under_score", {"value": "v"}),
        ("a" * 128, {"value": "v"}),
        ("name", {}),
        ("name", {"value": "x" * (MAX_VALUE_BYTES + 1)}),
        ("name", {"value": "v", "tags": {str(number): "" for number in range(16)}}),
    ],
    ids=["name with _", "long name", "no value", "value over 25k", "16 tags"],
)
def test_a_secret_beyond_the_limits_of_the_service_is_refused(name: str, body: dict[str, object]) -> None:
    with pytest.raises(VaultError) as refused:
        VaultSecrets(lambda: 0.0).set(name, body)

    assert (refused.value.status, refused.value.code) == (400, "BadParameter")


def test_a_value_at_the_limit_is_stored(client: SecretClient, name: str) -> None:
    value = "x" * MAX_VALUE_BYTES

    client.set_secret(name, value)

    assert client.get_secret(name).value == value


def test_a_fault_is_served_as_often_as_requested(
    client: SecretClient, key_vault: ServedVault, name: str
) -> None:
    client.set_secret(name, "value")
    key_vault.vault.faults.add(Fault(429, times=2, retry_after="0", method="GET", path=name))
    before = key_vault.vault.count("GET", name)

    assert client.get_secret(name).value == "value"
    assert key_vault.vault.count("GET", name) - before == 3


def test_faults_are_also_set_over_http(
    key_vault: ServedVault, client: SecretClient, local_authority: LocalAuthority, name: str
) -> None:
    control = f"{key_vault.url}/_control"
    ca = str(local_authority.ca_file)
    client.set_secret(name, "value")

    added = requests.post(control, json={"status": 403, "path": name}, verify=ca, timeout=5)
    with pytest.raises(HttpResponseError):
        client.get_secret(name)

    assert added.status_code == 204
    assert requests.post(control, json={"statuss": 403}, verify=ca, timeout=5).status_code == 400
    assert ["GET", f"/secrets/{name}/"] in requests.get(control, verify=ca, timeout=5).json()["requests"]
    assert requests.delete(control, verify=ca, timeout=5).status_code == 204


def test_a_dropped_connection_reaches_the_client_as_one(
    key_vault: ServedVault, local_authority: LocalAuthority
) -> None:
    key_vault.vault.faults.add(Fault(0, path="/secrets"))

    with pytest.raises(requests.ConnectionError):
        requests.get(f"{key_vault.url}/secrets", verify=str(local_authority.ca_file), timeout=5)


@pytest.mark.parametrize("query", ["", "?api-version=", "?api-version=7.99"])
def test_a_request_needs_an_api_version_that_the_service_knows(
    key_vault: ServedVault, managed_identity: ServedIdentity, local_authority: LocalAuthority, query: str
) -> None:
    resource = key_vault.url.replace("https://127.0.0.1", "https://0.0.1")
    token = managed_identity.identity.token(resource)
    response = requests.get(
        f"{key_vault.url}/secrets{query}",
        headers={"Authorization": f"Bearer {token}"},
        verify=str(local_authority.ca_file),
        timeout=5,
    )

    assert (response.status_code, response.json()["error"]["code"]) == (400, "BadParameter")


@pytest.mark.parametrize("wanted", [0, 26])
def test_a_page_has_at_most_25_secrets(client: SecretClient, wanted: int) -> None:
    with pytest.raises(HttpResponseError) as refused:
        list(client.list_properties_of_secrets(max_page_size=wanted))

    assert refused.value.status_code == 400


def test_a_secret_that_is_being_deleted_is_nowhere_and_its_name_is_taken() -> None:
    now = 1_000.0
    vault = VaultSecrets(lambda: now)
    vault.deletion_seconds = 30
    vault.set("a", {"value": "1"})
    vault.delete("a")

    for refusing in (
        lambda: vault.purge("a"),
        lambda: vault.recover("a"),
        lambda: vault.delete("a"),
        lambda: vault.set("a", {"value": "2"}),
    ):
        with pytest.raises(VaultError) as refused:
            refusing()
        assert (refused.value.status, refused.value.inner) == (409, "ObjectIsBeingDeleted")
    for missing in (lambda: vault.get("a"), lambda: vault.get_deleted("a")):
        with pytest.raises(VaultError) as refused:
            missing()
        assert refused.value.status == 404
    now += 30

    vault.purge("a")
    vault.set("a", {"value": "2"})


@pytest.mark.parametrize("body", [{"contentType": "x" * 256}, {"tags": {"number": 1}}])
def test_a_content_type_and_tags_have_their_limits(body: dict[str, object]) -> None:
    with pytest.raises(VaultError) as refused:
        VaultSecrets(lambda: 0.0).set("a", {"value": "1", **body})

    assert refused.value.status == 400


def test_a_response_can_be_lost_after_the_request_was_carried_out(
    client: SecretClient, key_vault: ServedVault, name: str
) -> None:
    client.set_secret(name, "value")
    key_vault.vault.faults.add(Fault(503, method="DELETE", path=name, carried_out=True))

    # The SDK's second try meets what the first one did.
    with pytest.raises(ResourceNotFoundError):
        client.begin_delete_secret(name)
    assert client.get_deleted_secret(name).name == name


def test_a_request_that_is_only_challenged_is_not_carried_out(key_vault: ServedVault, name: str) -> None:
    key_vault.vault.faults.add(Fault(0, path=name, carried_out=True))
    try:
        assert key_vault.vault.faults.take("GET", name, allowed=False) is None
        assert key_vault.vault.faults.take("GET", name) is not None
    finally:
        key_vault.vault.faults.clear()


def test_a_disabled_secret_is_deleted_but_only_the_list_shows_it(client: SecretClient, name: str) -> None:
    version = client.set_secret(name, "value").properties.version
    client.update_secret_properties(name, version, enabled=False)
    client.begin_delete_secret(name).wait()

    with pytest.raises(HttpResponseError) as refused:
        client.get_deleted_secret(name)
    assert refused.value.status_code == 403
    assert name in {each.name for each in client.list_deleted_secrets()}
    client.purge_deleted_secret(name)


def test_a_secret_that_is_being_deleted_is_in_no_list() -> None:
    vault = VaultSecrets(lambda: 1_000.0)
    vault.deletion_seconds = 30
    vault.set("a", {"value": "1"})
    vault.delete("a")

    assert (list(vault), vault.deleted()) == ([], [])


def test_a_cloud_may_lag_behind_in_api_versions(
    client: SecretClient, key_vault: ServedVault, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(key_vault.vault, "api_versions", frozenset({"7.3"}))

    with pytest.raises(HttpResponseError) as refused:
        client.set_secret(name, "value")
    assert refused.value.status_code == 400
