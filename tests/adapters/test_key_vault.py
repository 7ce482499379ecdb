"""Key Vault's refusals, through its SDK."""

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ODataV4Format
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

from shared.adapters import key_vault_requests as requests
from shared.adapters.key_vault import API_VERSION, KeyVaultTokenStore
from shared.adapters.key_vault_errors import key_vault_errors, vault_code
from shared.consent.ports import DeletedTokens
from shared.errors import ConfigurationError, ConflictError, TransientError
from shared.settings.installation import Installation
from tests.fakes import CLIENT_ID, INSTALLATION, STORAGE_ACCOUNT
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.faults import Fault
from tests.local_stack.fixtures import ServedIdentity, ServedVault
from tests.local_stack.key_vault import KeyVault
from tests.local_stack.serving import serve
from tests.local_stack.vault_secrets import VaultSecrets


@pytest.fixture
def store(
    key_vault: ServedVault,
    managed_identity: ServedIdentity,
    trust_authority: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[KeyVaultTokenStore]:
    for name, value in managed_identity.settings.items():
        monkeypatch.setenv(name, value)
    yield KeyVaultTokenStore(key_vault.url, INSTALLATION, ManagedIdentityCredential())
    key_vault.vault.faults.clear()


def refusal(code: str, inner: str = "", message: str = "Refused") -> str:
    error: dict[str, object] = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    return json.dumps({"error": error})


def fail_always(key_vault: ServedVault, fault: Fault) -> None:
    key_vault.vault.faults.add(replace(fault, times=99))


@pytest.mark.parametrize("status", [401, 403])
def test_a_vault_that_refuses_the_app_is_an_operator_error(
    store: KeyVaultTokenStore, key_vault: ServedVault, status: int
) -> None:
    store.read("any")
    fail_always(key_vault, Fault(status, body="", method="GET"))

    with pytest.raises(ConfigurationError) as refused:
        store.read("any")
    assert refused.value.code == "key_vault_denied"
    assert refused.value.params["error"] == f"HTTP {status}"


@pytest.mark.parametrize(
    ("inner", "code", "remedy"),
    [
        ("ForbiddenByFirewall", "key_vault_network_denied", "outbound addresses"),
        ("ForbiddenByConnection", "key_vault_network_denied", "private endpoint"),
        ("ForbiddenByRbac", "key_vault_denied", "Key Vault Secrets Officer"),
        ("ForbiddenByPolicy", "key_vault_denied", "access policies"),
        ("AccessDenied", "key_vault_denied", "access policies"),
        ("SecretDisabled", "key_vault_denied", "enables the newest version"),
        ("SomethingNew", "key_vault_denied", "Key Vault Secrets Officer"),
    ],
)
def test_a_refusal_shows_the_vaults_code_and_its_remedy(
    store: KeyVaultTokenStore, key_vault: ServedVault, inner: str, code: str, remedy: str
) -> None:
    store.read("any")
    fail_always(key_vault, Fault(403, method="GET", body=refusal("Forbidden", inner)))

    with pytest.raises(ConfigurationError) as refused:
        store.read("any")
    assert refused.value.code == code
    assert f"code is {inner}." in refused.value.problem.detail
    assert remedy in refused.value.problem.detail


def test_a_disabled_secret_is_no_missing_role(store: KeyVaultTokenStore, key_vault: ServedVault) -> None:
    store.write("smtp-disabled-1", "tokens")
    key_vault.vault.secrets.update("smtp-disabled-1", "", {"attributes": {"enabled": False}})

    with pytest.raises(ConfigurationError) as refused:
        store.read("smtp-disabled-1")
    assert refused.value.params["error"] == "SecretDisabled"


def test_an_unknown_code_is_logged_and_an_odd_one_is_not_shown(
    store: KeyVaultTokenStore, key_vault: ServedVault, caplog: pytest.LogCaptureFixture
) -> None:
    store.read("any")
    fail_always(key_vault, Fault(403, method="GET", body=refusal("SomethingNew", "<script> 1")))

    with pytest.raises(ConfigurationError) as refused:
        store.read("any")
    assert refused.value.params["error"] == "SomethingNew"
    assert 'unknown_error_code {"code": "SomethingNew", "service": "key_vault"' in caplog.text


def test_an_inner_error_that_is_no_object_hides_no_code() -> None:
    error = HttpResponseError("Refused")
    error.error = ODataV4Format({"code": "Throttled", "message": "Busy", "innererror": "text"})

    with pytest.raises(TransientError), key_vault_errors():
        raise error
    assert vault_code(error) == "Throttled"


def test_an_error_without_a_valid_code_has_an_empty_one() -> None:
    error = HttpResponseError("Refused")
    error.error = ODataV4Format({"code": "two words", "message": "Refused"})

    assert vault_code(error) == ""


@pytest.mark.parametrize(
    ("message", "raised"),
    [
        ("AKV10046: Unable to resolve the key used for signature validation.", TransientError),
        ("AKV10032: Invalid issuer.", ConfigurationError),
        ("Not AKV10046", ConfigurationError),
    ],
)
def test_a_signing_key_that_the_vault_can_not_find_now_is_no_refusal(
    message: str, raised: type[Exception]
) -> None:
    error = HttpResponseError("Refused")
    error.status_code = 401
    error.error = ODataV4Format({"code": "Unauthorized", "message": message})

    with pytest.raises(raised), key_vault_errors():
        raise error


#: Responses of a proxy, or of a vault that does not work now.
UNREADABLE = [
    Fault(200, body="<html>", content_type="text/html"),
    Fault(200, body="<html>"),
    Fault(200, body=""),
    Fault(200, body="[]"),
    Fault(200, body="null"),
    Fault(200, body="{}"),
    Fault(302, body=""),
    Fault(404, body="<html>", content_type="text/html"),
    Fault(404, body=refusal("ResourceNotFound")),
    Fault(500, body=""),
    Fault(502, body="Bad Gateway", content_type="text/plain"),
    Fault(501),
    Fault(408),
    Fault(429),
    Fault(429, retry_after="3600"),
    Fault(503, retry_after="Sun, 06 Nov 2050 08:49:37 GMT"),
    Fault(0),
]


@pytest.mark.parametrize("fault", UNREADABLE, ids=lambda fault: f"{fault.status} {fault.body}")
def test_a_response_unrelated_to_a_secret_is_transient(
    store: KeyVaultTokenStore, key_vault: ServedVault, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "_RETRIES", 0)
    quick = KeyVaultTokenStore(key_vault.url, INSTALLATION, ManagedIdentityCredential())
    quick.write("smtp-unreadable-1", "tokens")
    fail_always(key_vault, fault)

    for call in (quick.read, quick.delete):
        with pytest.raises(TransientError) as waited:
            call("smtp-unreadable-1")
        assert waited.value.code == "key_vault_unavailable"
    key_vault.vault.faults.clear()
    assert quick.read("smtp-unreadable-1") == "tokens"


def test_a_name_without_versions_may_be_not_found(store: KeyVaultTokenStore, key_vault: ServedVault) -> None:
    not_found = Fault(404, method="GET", path="/versions", body=refusal("SecretNotFound"))
    store.read("any")
    fail_always(key_vault, not_found)

    store.write("smtp-first-1", "tokens")
    store.disable_older_versions("smtp-first-1")

    key_vault.vault.faults.clear()
    assert store.read("smtp-first-1") == "tokens"


@pytest.mark.parametrize("body", ["{}", "[]", "null", "<html>"])
def test_a_list_that_is_not_the_vaults_own_is_no_empty_list(
    store: KeyVaultTokenStore, key_vault: ServedVault, body: str
) -> None:
    store.read("any")
    fail_always(key_vault, Fault(200, method="GET", body=body))

    for list_all in (store.names, store.recoverable):
        with pytest.raises(TransientError):
            list_all()


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"',
        "Basic",
        'Digest realm="proxy"',
    ],
)
def test_a_challenge_that_is_not_of_this_vault_is_an_operator_error(
    trust_authority: None, managed_identity: ServedIdentity, local_authority: LocalAuthority, challenge: str
) -> None:
    async def respond(_: web.Request) -> web.Response:
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    with serve(app, local_authority.server_context()) as server:
        store = KeyVaultTokenStore(server.url, INSTALLATION, ManagedIdentityCredential())
        with pytest.raises(ConfigurationError) as refused:
            store.read("any")
    assert refused.value.code in {"key_vault_rejected", "key_vault_denied"}


def test_the_error_for_a_vault_of_another_tenant_names_what_to_check(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    store.read("any")
    message = "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/other/."
    fail_always(key_vault, Fault(401, method="GET", body=refusal("Unauthorized", message=message)))

    with pytest.raises(ConfigurationError) as refused:
        store.read("any")
    assert "belongs to the Entra tenant" in refused.value.problem.detail


def test_a_long_retry_after_of_the_vault_is_left_to_the_caller(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    store.read("any")
    before = key_vault.vault.count("GET")
    fail_always(key_vault, Fault(429, method="GET", retry_after="60"))

    with pytest.raises(TransientError) as waited:
        store.read("any")
    assert waited.value.retry_after == timedelta(seconds=60)
    assert key_vault.vault.count("GET") == before + 1


@pytest.mark.parametrize("status", [400, 405, 410, 413])
def test_a_request_that_the_vault_does_not_accept_is_an_operator_error(
    store: KeyVaultTokenStore, key_vault: ServedVault, status: int
) -> None:
    fail_always(key_vault, Fault(status, body=refusal("BadParameter", message="secret=s3cret")))

    with pytest.raises(ConfigurationError) as refused:
        store.write("smtp-rejected-1", "tokens")
    assert refused.value.code == "key_vault_rejected"
    assert refused.value.params == {"status": str(status), "error": "BadParameter"}


def test_a_cloud_that_does_not_know_the_sdks_newest_version_serves_the_app(
    store: KeyVaultTokenStore, key_vault: ServedVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_vault.vault, "api_versions", frozenset({"7.3", "7.4"}))

    store.write("smtp-sovereign-1", "tokens")
    assert store.read("smtp-sovereign-1") == "tokens"
    with SecretClient(key_vault.url, ManagedIdentityCredential()) as newest:
        with pytest.raises(HttpResponseError) as refused:
            newest.get_secret("smtp-sovereign-1")
        assert refused.value.status_code == 400


def test_a_sign_in_on_a_laptop_that_fails_is_no_missing_role(
    key_vault: ServedVault, trust_authority: None
) -> None:
    class SignedOutCredential:
        def get_token(self, *_: str, **__: object) -> AccessToken:
            raise ClientAuthenticationError("run az login")

    with pytest.raises(ConfigurationError) as refused:
        KeyVaultTokenStore(key_vault.url, INSTALLATION, SignedOutCredential()).read("any")
    assert "az login" in refused.value.problem.detail


def test_a_vault_that_is_not_there_is_waited_for(trust_authority: None) -> None:
    store = KeyVaultTokenStore("https://127.0.0.1:9", INSTALLATION, ManagedIdentityCredential())

    with pytest.raises(TransientError) as refused:
        store.read("any")
    assert refused.value.code == "key_vault_unavailable"


def test_a_vault_that_is_busy_for_long_is_waited_for(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    key_vault.vault.faults.add(Fault(method="PUT", status=503, times=9))

    with pytest.raises(TransientError):
        store.write("smtp-busy-1", "tokens")


def test_a_request_to_a_briefly_busy_vault_is_repeated(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    key_vault.vault.faults.add(Fault(method="PUT", status=429, retry_after="0", times=1))

    store.write("smtp-moment-1", "tokens")

    assert store.read("smtp-moment-1") == "tokens"


def test_deleted_tokens_are_purged_where_the_vault_allows_it(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    store.write("smtp-purged-1", "tokens")

    assert store.delete("smtp-purged-1") is None
    assert [secret.name for secret in key_vault.vault.secrets.deleted()].count("smtp-purged-1") == 0


@pytest.fixture
def protected(key_vault: ServedVault) -> Iterator[KeyVault]:
    """Protect the vault from purge, as the deployed one is."""
    secrets = key_vault.vault.secrets
    secrets.purge_protection, secrets.retention_days = True, 7
    yield key_vault.vault
    secrets.purge_protection, secrets.retention_days = False, 90


@pytest.fixture
def slow(key_vault: ServedVault) -> Iterator[VaultSecrets]:
    """Let deletions take a long time unless the test sets another one."""
    secrets = key_vault.vault.secrets
    secrets.deletion_seconds = 60
    yield secrets
    secrets.deletion_seconds = 0
    secrets._deleting.clear()


@pytest.fixture
def short_deletion_wait(store: KeyVaultTokenStore, key_vault: ServedVault) -> KeyVaultTokenStore:
    moment = timedelta(milliseconds=50)
    return KeyVaultTokenStore(key_vault.url, INSTALLATION, ManagedIdentityCredential(), moment)


def days_until(moment: datetime | None) -> float:
    assert moment is not None
    return (moment - datetime.now(UTC)).total_seconds() / 86_400


def recoverable(store: KeyVaultTokenStore) -> dict[str, DeletedTokens]:
    return {found.name: found for found in store.recoverable()}


def test_under_purge_protection_deleted_tokens_stay_recoverable_for_a_week(
    store: KeyVaultTokenStore, protected: KeyVault
) -> None:
    store.write("smtp-protected-1", "tokens")

    assert 6.9 < days_until(store.delete("smtp-protected-1")) < 7.1


def test_no_purge_is_requested_from_a_vault_that_forbids_it(
    store: KeyVaultTokenStore, protected: KeyVault
) -> None:
    store.write("smtp-protected-2", "tokens")
    purges = protected.count("DELETE", "/deletedsecrets")

    store.delete("smtp-protected-2")
    store.delete("smtp-protected-2")

    assert protected.count("DELETE", "/deletedsecrets") == purges
    assert not recoverable(store)["smtp-protected-2"].purgeable


@pytest.mark.parametrize("status", [403, 409, 500])
@pytest.mark.parametrize("method", ["GET", "DELETE"], ids=["poll", "purge"])
def test_a_failed_purge_reports_until_when_the_tokens_exist(
    store: KeyVaultTokenStore, key_vault: ServedVault, status: int, method: str
) -> None:
    name = f"smtp-purge{status}{method}-1"
    store.write(name, "tokens")
    fail_always(key_vault, Fault(status, method=method, path="/deletedsecrets"))

    assert 89.9 < days_until(store.delete(name)) < 90.1
    key_vault.vault.faults.clear()
    assert recoverable(store)[name].purgeable
    assert store.delete(name) is None
    assert name not in recoverable(store)


def test_a_purge_whose_response_is_lost_has_purged(store: KeyVaultTokenStore, key_vault: ServedVault) -> None:
    store.write("smtp-purge-lost-1", "tokens")
    key_vault.vault.faults.add(Fault(0, method="DELETE", path="/deletedsecrets", carried_out=True))

    assert store.delete("smtp-purge-lost-1") is None
    assert "smtp-purge-lost-1" not in recoverable(store)


@pytest.mark.parametrize("status", [0, 503])
def test_a_deletion_with_a_lost_response_reports_until_when_tokens_exist(
    store: KeyVaultTokenStore, protected: KeyVault, status: int
) -> None:
    name = f"smtp-lost{status}-1"
    store.write(name, "tokens")
    protected.faults.add(Fault(status, method="DELETE", path=name, carried_out=True))

    assert 6.9 < days_until(store.delete(name)) < 7.1


def test_a_slow_deletion_with_a_lost_response_is_found_when_it_is_finished(
    store: KeyVaultTokenStore, protected: KeyVault, slow: VaultSecrets
) -> None:
    slow.deletion_seconds = 1.5
    store.write("smtp-lost-slow-1", "tokens")
    protected.faults.add(Fault(0, method="DELETE", path="smtp-lost-slow-1", carried_out=True))

    assert 6.9 < days_until(store.delete("smtp-lost-slow-1")) < 7.1


def test_a_lost_deletion_that_is_nowhere_yet_is_not_called_gone(
    short_deletion_wait: KeyVaultTokenStore, key_vault: ServedVault, slow: VaultSecrets
) -> None:
    short_deletion_wait.write("smtp-nowhere-1", "tokens")
    # The second try of the SDK finds nothing, because the first one was carried out.
    key_vault.vault.faults.add(Fault(0, method="DELETE", path="smtp-nowhere-1", carried_out=True))
    key_vault.vault.faults.add(
        Fault(404, method="DELETE", path="smtp-nowhere-1", body=refusal("SecretNotFound"))
    )

    with pytest.raises(TransientError):
        short_deletion_wait.delete("smtp-nowhere-1")


def test_disabled_deleted_tokens_are_purged(store: KeyVaultTokenStore, key_vault: ServedVault) -> None:
    store.write("smtp-disabled-2", "tokens")
    key_vault.vault.secrets.update("smtp-disabled-2", "", {"attributes": {"enabled": False}})

    assert store.delete("smtp-disabled-2") is None
    assert "smtp-disabled-2" not in recoverable(store)


def test_a_vault_without_soft_delete_retains_nothing(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    secret = {
        "id": f"{key_vault.url}/secrets/smtp-old-vault-1/1",
        "attributes": {"recoveryLevel": "Purgeable"},
    }
    store.read("any")
    key_vault.vault.faults.add(Fault(200, method="DELETE", body=json.dumps(secret)))

    assert store.delete("smtp-old-vault-1") is None


def test_a_name_whose_tokens_are_deleted_but_recoverable_is_not_written(
    store: KeyVaultTokenStore, protected: KeyVault
) -> None:
    store.write("smtp-recoverable-1", "tokens")
    store.delete("smtp-recoverable-1")

    with pytest.raises(ConflictError) as refused:
        store.write("smtp-recoverable-1", "resurrected")
    assert refused.value.code == "consent_superseded"


def test_a_name_that_an_operator_recovers_just_now_is_waited_for(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    fail_always(key_vault, Fault(409, method="PUT", body=refusal("Conflict", "ObjectIsBeingRecovered")))

    with pytest.raises(TransientError):
        store.write("smtp-recovering-1", "tokens")


def test_a_deletion_that_takes_long_is_not_waited_for(
    short_deletion_wait: KeyVaultTokenStore, slow: VaultSecrets
) -> None:
    short_deletion_wait.write("smtp-slow-1", "tokens")

    assert days_until(short_deletion_wait.delete("smtp-slow-1")) > 89
    assert short_deletion_wait.read("smtp-slow-1") is None


def test_a_secret_in_deletion_by_another_process_is_not_reported_as_gone(
    short_deletion_wait: KeyVaultTokenStore, slow: VaultSecrets
) -> None:
    short_deletion_wait.write("smtp-contested-1", "tokens")
    slow.delete("smtp-contested-1")

    with pytest.raises(TransientError):
        short_deletion_wait.delete("smtp-contested-1")


def test_in_a_shared_vault_only_secrets_of_this_registration_are_listed(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    neighbour = KeyVaultTokenStore(
        key_vault.url, replace(INSTALLATION, client_id="another-client-id"), ManagedIdentityCredential()
    )
    store.write("smtp-shared-1", "ours")
    neighbour.write("smtp-shared-2", "another installation's")

    assert [name for name in store.names() if name.startswith("smtp-shared")] == ["smtp-shared-1"]


@pytest.fixture
def advancing_clock(key_vault: ServedVault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a second pass in the vault with each write."""
    seconds = itertools.count(int(time.time()))
    monkeypatch.setattr(key_vault.vault.secrets, "_clock", lambda: next(seconds))


def versions(key_vault: ServedVault, name: str) -> list[tuple[str, bool]]:
    return [(version.value, version.enabled) for version in key_vault.vault.secrets.versions(name)]


@pytest.mark.usefixtures("advancing_clock")
def test_every_version_but_the_newest_is_disabled(store: KeyVaultTokenStore, key_vault: ServedVault) -> None:
    for tokens in ("first", "second", "third"):
        store.write("smtp-versions-1", tokens)
    store.disable_older_versions("smtp-versions-1")

    assert versions(key_vault, "smtp-versions-1") == [("first", False), ("second", False), ("third", True)]
    assert store.read("smtp-versions-1") == "third"


@pytest.mark.usefixtures("advancing_clock")
def test_a_version_just_written_by_another_process_stays_readable(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    other = KeyVaultTokenStore(key_vault.url, INSTALLATION, ManagedIdentityCredential())
    store.write("smtp-two-writers-1", "ours")
    other.write("smtp-two-writers-1", "theirs")
    store.disable_older_versions("smtp-two-writers-1")
    other.disable_older_versions("smtp-two-writers-1")

    assert store.read("smtp-two-writers-1") == "theirs"


def test_both_versions_of_the_same_second_stay_enabled(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    key_vault.vault.secrets._clock, clock = (lambda: 1_800_000_000), key_vault.vault.secrets._clock
    try:
        store.write("smtp-same-second-1", "ours")
        store.write("smtp-same-second-1", "theirs")
    finally:
        key_vault.vault.secrets._clock = clock
    store.disable_older_versions("smtp-same-second-1")

    assert [enabled for _, enabled in versions(key_vault, "smtp-same-second-1")] == [True, True]


def test_a_secret_expires_with_its_refresh_token(store: KeyVaultTokenStore, key_vault: ServedVault) -> None:
    store.write("smtp-expiring-1", "tokens")

    (version,) = key_vault.vault.secrets.versions("smtp-expiring-1")
    assert version.expires is not None
    assert abs(version.expires - version.created - 90 * 86_400) < 10


@pytest.mark.parametrize(
    ("other", "named", "ours"),
    [
        (replace(INSTALLATION, client_id="another-client"), "another-client", CLIENT_ID),
        (
            replace(INSTALLATION, storage_account="stcopy"),
            f"{CLIENT_ID} with the storage account stcopy",
            f"{CLIENT_ID} with the storage account {STORAGE_ACCOUNT}",
        ),
    ],
)
def test_tokens_of_other_installations_are_not_read_changed_or_deleted(
    store: KeyVaultTokenStore, key_vault: ServedVault, other: Installation, named: str, ours: str
) -> None:
    name = f"smtp-shared-{other.storage_account}-{other.client_id}-1"
    store.write(name, "ours")
    theirs = KeyVaultTokenStore(key_vault.url, other, ManagedIdentityCredential())

    for use in (lambda: theirs.read(name), lambda: theirs.write(name, "theirs"), lambda: theirs.delete(name)):
        with pytest.raises(ConfigurationError) as refused:
            use()
        assert refused.value.code == "other_installation"
        assert refused.value.params == {"ours": named, "theirs": ours}
    assert store.read(name) == "ours"
    assert name not in theirs.names()
    store.delete(name)
    assert name not in [found.name for found in theirs.recoverable()]


def test_tokens_without_a_storage_account_tag_are_used_but_not_listed(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    name = "smtp-older-tag-1"
    SecretClient(key_vault.url, ManagedIdentityCredential(), api_version=API_VERSION).set_secret(
        name, "tokens", tags={"app-registration": CLIENT_ID}
    )

    assert store.read(name) == "tokens"
    assert name not in store.names()
    store.write(name, "newer")
    assert name in store.names()


def test_tokens_without_a_tag_are_used_by_the_installation_that_names_them(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    SecretClient(key_vault.url, ManagedIdentityCredential(), api_version=API_VERSION).set_secret(
        "smtp-untagged-1", "tokens"
    )

    assert store.read("smtp-untagged-1") == "tokens"
    store.write("smtp-untagged-1", "newer")
    assert "smtp-untagged-1" in store.names()


@pytest.mark.parametrize("tags", [None, {"app-registration": CLIENT_ID}])
def test_new_tokens_do_not_replace_tokens_of_unknown_owner(
    store: KeyVaultTokenStore, key_vault: ServedVault, tags: dict[str, str] | None
) -> None:
    name = f"smtp-taken-{len(tags or {})}-1"
    SecretClient(key_vault.url, ManagedIdentityCredential(), api_version=API_VERSION).set_secret(
        name, "another's", tags=tags
    )
    with pytest.raises(ConflictError, match="consent_superseded"):
        store.write(name, "ours", new=True)

    assert store.read(name) == "another's"


def test_the_tokens_of_a_new_consent_may_be_written_twice(store: KeyVaultTokenStore) -> None:
    for tokens in ("first", "second"):
        store.write("smtp-new-1", tokens, new=True)

    assert store.read("smtp-new-1") == "second"
