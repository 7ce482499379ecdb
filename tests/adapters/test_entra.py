"""Consent and tokens against a real token endpoint, through MSAL."""

import json
import logging
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from shared.adapters.entra import EntraAuthority
from shared.adapters.msal_cache import client_of
from shared.config import AppConfig
from shared.consent.errors import EntraUnavailableError
from shared.consent.ports import TokenResponse
from shared.consent.token_cache import AccessTokenCache
from shared.errors import ConfigurationError, ConsentRequiredError, InvalidInputError, TransientError
from shared.settings.tenant import Account
from shared.system import RealSystem
from tests.builders import a_consent
from tests.fakes import MemorySettings, MemoryVault
from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.fixtures import ServedMicrosoft365
from tests.local_stack.microsoft365 import Effect
from tests.local_stack.microsoft365.contoso import ADA, CLIENT_ID, CLIENT_SECRET, CONTOSO, UMA

SCOPES = ("Mail.Send",)
#: What a proxy or a cut connection makes of a response.
PAGE = Effect(200, body="html")
GATEWAY = '{"message": "Blocked by policy.", "status": 403}'
#: The form of Spring Boot's error documents.
NOT_FOUND = '{"timestamp": "2026-11-23", "status": 404, "error": "Not Found", "path": "/token"}'
MALFORMED = '{"error": "invalid_grant", "error_codes": [9002313]}'
ENDPOINTS = '{"authorization_endpoint": "https://a/b", "token_endpoint": 7}'
DEEP = "[" * 100_000
ACCOUNT = Account("0b1ec700-0000-4000-8000-000000000001", CONTOSO, ADA)


@pytest.fixture
def entra(config: AppConfig) -> EntraAuthority:
    return EntraAuthority(config, CLIENT_SECRET, RealSystem())


@pytest.fixture
def browser(local_authority: LocalAuthority) -> BrowserClient:
    """A browser that does not submit Microsoft's form to the app."""
    return BrowserClient(local_authority.ca_file, posts_by_itself=False)


def sign_in(
    entra: EntraAuthority, browser: BrowserClient, *, accept: bool = True
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the proof of the flow and the fields of the callback."""
    begun = entra.begin(CONTOSO, SCOPES, "the-state", ADA)
    page = browser.consent(begun.address, ADA, accept=accept)
    return dict(begun.auth_flow), dict(page.forms[0].fields)


@pytest.fixture
def redeemed(entra: EntraAuthority, browser: BrowserClient) -> TokenResponse:
    auth_flow, reply = sign_in(entra, browser)
    return entra.redeem(CONTOSO, auth_flow, reply)


def test_a_sign_in_requests_a_form_post_bound_to_this_app(entra: EntraAuthority) -> None:
    begun = entra.begin(CONTOSO, SCOPES, "the-state", ADA)

    query = {name: values[0] for name, values in parse_qs(urlsplit(begun.address).query).items()}
    assert query["response_mode"] == "form_post"
    assert query["response_type"] == "code"
    assert query["redirect_uri"] == "https://mailer.example.test/api/consent/callback"
    assert query["prompt"] == "select_account"
    assert "login_hint" not in query
    assert query["state"] == "the-state"
    assert query["code_challenge_method"] == "S256"
    assert set(query["scope"].split()) == {"Mail.Send", "openid", "profile", "offline_access"}


def test_what_proves_the_callback_is_not_in_the_address(entra: EntraAuthority) -> None:
    begun = entra.begin(CONTOSO, SCOPES, "the-state", ADA)

    assert begun.auth_flow["code_verifier"] not in begun.address
    assert begun.auth_flow["nonce"] not in begun.address


def test_a_code_becomes_tokens_and_a_name(redeemed: TokenResponse) -> None:
    assert redeemed.claims["preferred_username"] == ADA
    assert redeemed.claims["tid"] == CONTOSO
    assert redeemed.scopes == frozenset({"Mail.Send"})


def test_only_what_a_later_refresh_needs_is_stored(redeemed: TokenResponse) -> None:
    assert set(json.loads(redeemed.tokens)) == {"Account", "RefreshToken", "AppMetadata"}
    assert len(redeemed.tokens) < 5_000


def test_a_stored_token_becomes_an_access_token(
    entra: EntraAuthority, redeemed: TokenResponse, office: ServedMicrosoft365
) -> None:
    office.system.requests.clear()
    before = RealSystem().now()

    issued = entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES)

    assert issued.scopes == frozenset({"Mail.Send"})
    assert 70 * 60 < (issued.expires_at - before).total_seconds() < 80 * 60
    assert issued.tokens != redeemed.tokens
    assert len(office.system.requests.all("token")) == 1
    assert "access_token" not in issued.tokens.lower()


def test_a_fresh_token_names_its_account_as_it_is_called_now(
    entra: EntraAuthority, redeemed: TokenResponse, office: ServedMicrosoft365
) -> None:
    assert entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES).username == ADA


@pytest.mark.parametrize("id_token", ["opaque", "a.b.c", "", None, 5])
def test_an_unreadable_id_token_does_not_prevent_sending(
    id_token: object, entra: EntraAuthority, redeemed: TokenResponse, office: ServedMicrosoft365
) -> None:
    response = {"token_type": "Bearer", "expires_in": "3600", "access_token": "t", "id_token": id_token}
    office.system.faults.add("token", Effect(200, body="raw", message=json.dumps(response)))

    issued = entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES)

    assert (issued.access_token, issued.scopes, issued.username, issued.email) == ("t", None, "", "")


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"expires_in": None},
        {"expires_in": "soon"},
        {"expires_in": float("inf")},
        {"expires_in": 3600, "access_token": None},
        {"expires_in": 3600, "access_token": ""},
        {"expires_in": 3600, "scope": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("call", ["redeem", "refresh", "app_only"])
def test_an_unusable_success_is_requested_again(
    call: str,
    members: dict[str, object],
    config: AppConfig,
    redeemed: TokenResponse,
    office: ServedMicrosoft365,
) -> None:
    response = {"token_type": "Bearer", "access_token": "t", **members}
    office.system.faults.add("token", Effect(200, body="raw", message=json.dumps(response)))

    with pytest.raises(TransientError) as refused:
        CALLS[call](EntraAuthority(config, CLIENT_SECRET, RealSystem()), redeemed.tokens)
    assert refused.value.code == "entra_unavailable"


def test_invalid_unused_members_do_not_prevent_use_of_a_token(
    entra: EntraAuthority, redeemed: TokenResponse, office: ServedMicrosoft365
) -> None:
    response = {"token_type": "Bearer", "access_token": "t", "expires_in": 10**15, "refresh_in": "later"}
    office.system.faults.add("token", Effect(200, body="raw", message=json.dumps(response)))

    assert entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES).access_token == "t"


def test_sign_in_name_and_address_are_distinguished_when_they_differ(
    entra: EntraAuthority, browser: BrowserClient, office: ServedMicrosoft365
) -> None:
    uma = office.system.user(UMA)
    office.system.directory.change_user(UMA, sign_in_name="u1@contoso.com")
    try:
        begun = entra.begin(CONTOSO, SCOPES, "the-state", "u1@contoso.com")
        page = browser.consent(begun.address, "u1@contoso.com")
        redeemed = entra.redeem(CONTOSO, begun.auth_flow, page.forms[0].fields)
        account = Account(uma.object_id, CONTOSO, "u1@contoso.com")

        issued = entra.refresh(CONTOSO, redeemed.tokens, account, SCOPES)
    finally:
        office.system.directory.add(uma)

    assert (redeemed.claims["preferred_username"], redeemed.claims["email"]) == ("u1@contoso.com", UMA)
    assert (issued.username, issued.email) == ("u1@contoso.com", UMA)


def test_tokens_of_another_account_are_never_used(
    entra: EntraAuthority, redeemed: TokenResponse, office: ServedMicrosoft365
) -> None:
    office.system.requests.clear()
    other = replace(ACCOUNT, object_id="another-object-id")

    with pytest.raises(ConfigurationError) as refused:
        entra.refresh(CONTOSO, redeemed.tokens, other, SCOPES)
    assert refused.value.code == "tokens_of_other_account"
    assert refused.value.params == {"expected": "another-object-id", "found": ACCOUNT.object_id}
    assert not office.system.requests.all("token")


def test_a_token_that_was_issued_for_another_account_is_not_used(
    entra: EntraAuthority, redeemed: TokenResponse
) -> None:
    cache = json.loads(redeemed.tokens)
    for account in cache["Account"].values():
        account["local_account_id"] = "another-object-id"

    with pytest.raises(ConfigurationError) as refused:
        entra.refresh(CONTOSO, json.dumps(cache), replace(ACCOUNT, object_id="another-object-id"), SCOPES)
    assert refused.value.params["found"] == ACCOUNT.object_id


def test_a_token_cache_names_the_client_it_was_issued_to(redeemed: TokenResponse) -> None:
    assert client_of(redeemed.tokens) == CLIENT_ID


@pytest.mark.parametrize(
    "tokens",
    [
        "",
        "[]",
        "[" * 100_000,
        "{}",
        '{"RefreshToken": []}',
        '{"RefreshToken": {"a": 1}}',
        '{"RefreshToken": {"a": {}}}',
        '{"RefreshToken": {"a": {"client_id": "x"}, "b": {"client_id": "y"}}}',
    ],
)
def test_a_token_cache_without_a_client_belongs_to_no_client(tokens: str) -> None:
    assert client_of(tokens) is None


def test_a_new_process_refreshes_from_the_stored_tokens(
    config: AppConfig, entra: EntraAuthority, redeemed: TokenResponse
) -> None:
    restarted = EntraAuthority(config, CLIENT_SECRET, RealSystem())

    issued = restarted.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES)

    assert restarted.refresh(CONTOSO, issued.tokens, ACCOUNT, SCOPES).access_token


def test_the_stored_sign_in_does_not_contain_its_state(entra: EntraAuthority) -> None:
    assert "the-state" not in str(entra.begin(CONTOSO, SCOPES, "the-state", ADA).auth_flow)


def test_an_id_token_with_another_nonce_is_refused(entra: EntraAuthority, browser: BrowserClient) -> None:
    auth_flow, reply = sign_in(entra, browser)

    with pytest.raises(InvalidInputError) as refused:
        entra.redeem(CONTOSO, {**auth_flow, "nonce": "another"}, reply)
    assert refused.value.code == "consent_reply_invalid"
    assert refused.value.__cause__ is None
    assert auth_flow["nonce"] not in str(refused.value)


def test_a_code_of_another_browser_fails_the_pkce_check(
    entra: EntraAuthority, browser: BrowserClient
) -> None:
    auth_flow, reply = sign_in(entra, browser)

    with pytest.raises(ConsentRequiredError) as refused:
        entra.redeem(CONTOSO, {**auth_flow, "code_verifier": "x" * 43}, reply)
    assert refused.value.code == "consent_failed"
    assert refused.value.params["error"] == "AADSTS501481"


def test_a_code_is_good_once(entra: EntraAuthority, browser: BrowserClient) -> None:
    auth_flow, reply = sign_in(entra, browser)
    entra.redeem(CONTOSO, auth_flow, reply)

    with pytest.raises(ConsentRequiredError) as refused:
        entra.redeem(CONTOSO, auth_flow, reply)
    assert refused.value.code == "consent_code_used"


@pytest.mark.parametrize(
    ("button", "kind", "code"),
    [
        ("refresh token expired", ConsentRequiredError, "consent_lost"),
        ("grant revoked", ConsentRequiredError, "consent_lost"),
        ("needs MFA", ConsentRequiredError, "consent_lost"),
        ("secret expired", ConfigurationError, "client_credential_refused"),
        ("Entra busy", EntraUnavailableError, "entra_unavailable"),
        ("Entra throttled", EntraUnavailableError, "entra_unavailable"),
        ("busy", EntraUnavailableError, "entra_unavailable"),
        ("internal error", EntraUnavailableError, "entra_unavailable"),
        ("reset", EntraUnavailableError, "entra_unavailable"),
        ("refused", EntraUnavailableError, "entra_unavailable"),
        (Effect(aadsts=53003), ConsentRequiredError, "sign_in_blocked"),
        (Effect(aadsts=50105), ConsentRequiredError, "sign_in_blocked"),
        (Effect(aadsts=700016), ConsentRequiredError, "app_removed"),
        (Effect(aadsts=70011), ConfigurationError, "app_registration_wrong"),
        (Effect(400, body="raw", message=MALFORMED), ConsentRequiredError, "consent_lost"),
    ],
    ids=str,
)
def test_a_failed_refresh_names_who_must_act(
    button: str | Effect,
    kind: type[Exception],
    code: str,
    entra: EntraAuthority,
    redeemed: TokenResponse,
    office: ServedMicrosoft365,
) -> None:
    # MSAL repeats a connection that breaks once.
    office.system.faults.add("token", button, times=3)

    with pytest.raises(kind) as refused:
        entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES)
    assert refused.value.code == code  # type: ignore[attr-defined]


def test_a_refusal_carries_microsofts_trace_and_none_of_its_text(
    entra: EntraAuthority, redeemed: TokenResponse, office: ServedMicrosoft365
) -> None:
    office.system.faults.add("token", "grant revoked")

    with pytest.raises(ConsentRequiredError) as refused:
        entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES)
    assert refused.value.request_id
    assert refused.value.params == {"account": ADA, "error": "AADSTS50173"}
    assert "revoked" not in str(refused.value)


@pytest.mark.parametrize(
    "kept", ["", "tokens", '{"RefreshToken": {', "[]", "null", '{"Account": 1}', "[" * 100_000]
)
def test_stored_tokens_that_were_changed_are_a_lost_consent(entra: EntraAuthority, kept: str) -> None:
    with pytest.raises(ConsentRequiredError) as refused:
        entra.refresh(CONTOSO, kept, ACCOUNT, ["Mail.Send"])
    assert refused.value.params["error"] == "tokens_unreadable"


def test_stored_tokens_without_a_refresh_token_are_a_lost_consent(entra: EntraAuthority) -> None:
    with pytest.raises(ConsentRequiredError) as refused:
        entra.refresh(CONTOSO, "{}", ACCOUNT, SCOPES)
    assert refused.value.params["error"] == "no_refresh_token"


def test_a_revoked_permission_is_a_lost_consent(
    entra: EntraAuthority, redeemed: TokenResponse, office: ServedMicrosoft365
) -> None:
    office.system.revoke_consent(ADA)

    with pytest.raises(ConsentRequiredError) as refused:
        entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES)
    assert refused.value.code == "consent_lost"


def test_the_endpoints_of_a_tenant_are_fetched_once(
    entra: EntraAuthority, office: ServedMicrosoft365
) -> None:
    for _ in range(3):
        entra.begin(CONTOSO, SCOPES, "s", ADA)

    assert len(office.system.requests.all("discovery")) == 1


def test_while_entra_can_not_be_reached_nothing_can_begin(config: AppConfig) -> None:
    nowhere = replace(config, authority_host="https://127.0.0.1:9")

    with pytest.raises(TransientError) as refused:
        EntraAuthority(nowhere, CLIENT_SECRET, RealSystem()).begin(CONTOSO, SCOPES, "s", ADA)
    assert refused.value.code == "entra_unavailable"


def test_while_entra_can_not_be_reached_no_token_is_lost(config: AppConfig, redeemed: TokenResponse) -> None:
    nowhere = replace(config, authority_host="https://127.0.0.1:9")

    with pytest.raises(TransientError):
        EntraAuthority(nowhere, CLIENT_SECRET, RealSystem()).refresh(
            CONTOSO, redeemed.tokens, ACCOUNT, SCOPES
        )
    with pytest.raises(TransientError):
        EntraAuthority(nowhere, CLIENT_SECRET, RealSystem()).app_only(CONTOSO)


PROOF = {"scope": list(SCOPES), "nonce": "n", "code_verifier": "v" * 43}
type Call = Callable[[EntraAuthority, str], object]
CALLS: dict[str, Call] = {
    "begin": lambda entra, _: entra.begin(CONTOSO, SCOPES, "s", ADA),
    "redeem": lambda entra, _: entra.redeem(CONTOSO, PROOF, {"state": "s", "code": "c"}),
    "refresh": lambda entra, tokens: entra.refresh(CONTOSO, tokens, ACCOUNT, SCOPES),
    "app_only": lambda entra, _: entra.app_only(CONTOSO),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("button", ["busy", "throttled without Retry-After", "bad gateway", "reset", PAGE])
def test_while_the_tenants_endpoints_can_not_be_fetched_everything_waits(
    button: str | Effect, call: str, config: AppConfig, redeemed: TokenResponse, office: ServedMicrosoft365
) -> None:
    office.system.faults.add("discovery", button, times=3)

    with pytest.raises(TransientError) as refused:
        CALLS[call](EntraAuthority(config, CLIENT_SECRET, RealSystem()), redeemed.tokens)
    assert refused.value.code == "entra_unavailable"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("status", "text"),
    [(403, GATEWAY), (404, NOT_FOUND), (302, GATEWAY), (200, GATEWAY), (200, ENDPOINTS), (200, DEEP)],
    ids=["403", "404", "302", "200", "half", "deep"],
)
def test_the_response_of_a_gateway_is_not_cached_as_tenant_endpoints(
    status: int,
    text: str,
    call: str,
    config: AppConfig,
    redeemed: TokenResponse,
    office: ServedMicrosoft365,
) -> None:
    entra = EntraAuthority(config, CLIENT_SECRET, RealSystem())
    office.system.faults.add("discovery", Effect(status, message=text, body="raw"))

    with pytest.raises(TransientError) as refused:
        CALLS[call](entra, redeemed.tokens)
    assert refused.value.code == "entra_unavailable"
    assert entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES).access_token


@pytest.mark.parametrize("call", CALLS)
def test_a_tenant_that_entra_does_not_know_is_an_operator_error(
    call: str, config: AppConfig, redeemed: TokenResponse, office: ServedMicrosoft365
) -> None:
    office.system.faults.add("discovery", Effect(aadsts=90002), times=3)

    with pytest.raises(ConfigurationError) as refused:
        CALLS[call](EntraAuthority(config, CLIENT_SECRET, RealSystem()), redeemed.tokens)
    assert refused.value.code == "app_registration_wrong"


@pytest.mark.parametrize(
    "response",
    [
        PAGE,
        Effect(403, body="raw"),
        Effect(403, message=GATEWAY, body="raw"),
        Effect(200, message=GATEWAY, body="raw"),
        Effect(403, message='{"error": "Forbidden"}', body="raw"),
        Effect(404, message=NOT_FOUND, body="raw"),
        Effect(400, message='{"error": "invalid_grant", "error_codes": "50173"}', body="raw"),
        Effect(503, message='{"error_codes": 5}', body="raw"),
        Effect(429, "never_heard_of"),
        Effect(429, body="html"),
    ],
    ids=str,
)
@pytest.mark.parametrize("call", ["redeem", "refresh", "app_only"])
def test_a_response_unrelated_to_the_tokens_is_transient(
    response: Effect, call: str, entra: EntraAuthority, redeemed: TokenResponse, office: ServedMicrosoft365
) -> None:
    office.system.faults.add("token", response, times=3)

    with pytest.raises(TransientError) as refused:
        CALLS[call](entra, redeemed.tokens)
    assert refused.value.code == "entra_unavailable"


def test_a_token_response_that_is_not_json_is_not_logged(
    entra: EntraAuthority,
    redeemed: TokenResponse,
    office: ServedMicrosoft365,
    caplog: pytest.LogCaptureFixture,
) -> None:
    office.system.faults.add("token", PAGE)

    with caplog.at_level(logging.DEBUG), pytest.raises(TransientError) as refused:
        entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES)

    assert "Service error" not in caplog.text
    assert "Service error" not in "".join(traceback.format_exception(refused.value))


def test_a_wrong_secret_is_an_operator_error(
    config: AppConfig, entra: EntraAuthority, browser: BrowserClient
) -> None:
    auth_flow, reply = sign_in(entra, browser)

    with pytest.raises(ConfigurationError) as refused:
        EntraAuthority(config, "wrong", RealSystem()).redeem(CONTOSO, auth_flow, reply)
    assert refused.value.code == "client_credential_refused"
    assert refused.value.params["error"] == "AADSTS7000215"


def test_an_ordinary_user_may_consent_to_send(entra: EntraAuthority, browser: BrowserClient) -> None:
    begun = entra.begin(CONTOSO, SCOPES, "the-state", UMA)
    page = browser.consent(begun.address, UMA)

    redeemed = entra.redeem(CONTOSO, begun.auth_flow, page.forms[0].fields)

    assert redeemed.claims["preferred_username"] == UMA
    assert redeemed.claims["aud"] == CLIENT_ID


# The app itself


def test_an_admin_consents_to_the_apps_own_permissions(
    entra: EntraAuthority, browser: BrowserClient, office: ServedMicrosoft365
) -> None:
    begun = entra.begin_admin_consent(CONTOSO, "the-state")

    query = {name: values[0] for name, values in parse_qs(urlsplit(begun.address).query).items()}
    assert urlsplit(begun.address).path == f"/{CONTOSO}/v2.0/adminconsent"
    assert query == {
        "client_id": CLIENT_ID,
        "scope": "https://graph.microsoft.com/.default",
        "redirect_uri": "https://mailer.example.test/api/consent/callback",
        "state": "the-state",
    }
    office.system.consents.grant_application(CLIENT_ID, CONTOSO, ("Mail.Send",))

    assert entra.app_only(CONTOSO).scopes == frozenset({"Mail.Send"})


def test_an_apps_token_is_for_the_app(entra: EntraAuthority, office: ServedMicrosoft365) -> None:
    office.system.consents.grant_application(CLIENT_ID, CONTOSO, ("Mail.Send", "Mail.ReadWrite"))

    issued = entra.app_only(CONTOSO)

    claims = jwt.decode(issued.access_token, options={"verify_signature": False})
    assert (claims["idtyp"], claims["tid"]) == ("app", CONTOSO)
    assert issued.scopes == frozenset({"Mail.Send", "Mail.ReadWrite"})
    assert issued.tokens == ""


def test_an_app_removed_by_an_admin_is_reported_and_added_by_a_new_consent(
    entra: EntraAuthority, browser: BrowserClient, redeemed: TokenResponse, office: ServedMicrosoft365
) -> None:
    office.system.consents.remove_app(CLIENT_ID, CONTOSO)
    for call in ("refresh", "app_only"):
        with pytest.raises(ConsentRequiredError) as refused:
            CALLS[call](entra, redeemed.tokens)
        assert (refused.value.code, refused.value.params) == ("app_removed", {"error": "AADSTS700016"})
        assert refused.value.problem.who_acts == "workspace_admin"

    auth_flow, reply = sign_in(entra, browser)

    assert entra.redeem(CONTOSO, auth_flow, reply).scopes == frozenset({"Mail.Send"})


# Throttling


@pytest.mark.parametrize(
    ("button", "wait"),
    [
        ("Entra throttled", 60),
        ("Entra request loop", 60),
        (Effect(429, body="empty"), 60),
        (Effect(503, body="html", retry_after="30"), 30),
        (Effect(400, "invalid_grant", retry_after="20", aadsts=50196), 20),
    ],
    ids=str,
)
@pytest.mark.parametrize("call", ["refresh", "app_only"])
def test_retry_after_from_entra_is_reported_and_obeyed(
    button: str | Effect,
    wait: int,
    call: str,
    config: AppConfig,
    redeemed: TokenResponse,
    office: ServedMicrosoft365,
) -> None:
    entra = EntraAuthority(config, CLIENT_SECRET, RealSystem())
    office.system.faults.add("token", button)
    office.system.requests.clear()

    with pytest.raises(TransientError) as refused:
        CALLS[call](entra, redeemed.tokens)

    assert (refused.value.code, refused.value.retry_after) == ("entra_unavailable", timedelta(seconds=wait))
    assert len(office.system.requests.all("token")) == 1


@pytest.mark.parametrize("call", ["refresh", "app_only"])
def test_other_requests_do_not_make_msal_forget_that_it_is_throttled(
    call: str, config: AppConfig, redeemed: TokenResponse, office: ServedMicrosoft365
) -> None:
    entra = EntraAuthority(config, CLIENT_SECRET, RealSystem())
    office.system.faults.add("token", "Entra throttled")
    with pytest.raises(TransientError):
        CALLS[call](entra, redeemed.tokens)
    office.system.faults.add("token", Effect(aadsts=50173))
    with pytest.raises(ConsentRequiredError):
        CALLS["redeem"](entra, "")
    office.system.requests.clear()

    with pytest.raises(TransientError) as again:
        CALLS[call](entra, redeemed.tokens)

    assert again.value.retry_after == timedelta(seconds=60)
    assert office.system.requests.all("token") == []


def test_endpoints_that_are_throttled_are_waited_for(config: AppConfig, office: ServedMicrosoft365) -> None:
    office.system.faults.add("discovery", "Entra throttled")

    with pytest.raises(TransientError) as refused:
        EntraAuthority(config, CLIENT_SECRET, RealSystem()).app_only(CONTOSO)
    assert refused.value.retry_after == timedelta(seconds=60)


def test_of_eight_concurrent_mails_one_calls_a_throttled_entra(
    config: AppConfig, redeemed: TokenResponse, office: ServedMicrosoft365
) -> None:
    entra = EntraAuthority(config, CLIENT_SECRET, RealSystem())
    vault = MemoryVault({"name": redeemed.tokens})
    custody = AccessTokenCache(vault, entra, MemorySettings(), RealSystem(), lambda: frozenset({CONTOSO}))
    consent = a_consent(account=ACCOUNT, secret_name="name", stored_at=RealSystem().now())
    office.system.behaviour.token_requests_a_minute = 1
    custody.get(CONTOSO, consent)
    office.system.requests.clear()

    def get(_: int) -> TransientError:
        with pytest.raises(TransientError) as refused:
            custody.get(CONTOSO, consent, fresh=True)
        return refused.value

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(get, range(8)))

    assert all(error.retry_after and error.retry_after > timedelta(seconds=50) for error in told)
    assert len(office.system.requests.all("token")) == 1


# What an app's token says


@pytest.mark.parametrize(
    "token", ["opaque", "EwBIA8l6BAAU.x.y", "a.b.c.d.e", "e30.WzFd.x", "e30.eyJyb2xlcyI6Im9uZSJ9.x", "é.é.é"]
)
def test_an_app_token_that_cannot_be_read_is_used_anyway(
    token: str, entra: EntraAuthority, office: ServedMicrosoft365
) -> None:
    response = json.dumps({"token_type": "Bearer", "expires_in": 3600, "access_token": token})
    office.system.faults.add("token", Effect(200, body="raw", message=response))

    issued = entra.app_only(CONTOSO)

    assert (issued.access_token, issued.scopes) == (token, None)


def test_a_refusal_of_the_app_is_not_remembered(entra: EntraAuthority, office: ServedMicrosoft365) -> None:
    office.system.faults.add("token", Effect(aadsts=700016))
    with pytest.raises(ConsentRequiredError):
        entra.app_only(CONTOSO)

    assert entra.app_only(CONTOSO).access_token


def test_a_code_is_redeemed_once_entra_knows_the_app(
    entra: EntraAuthority, browser: BrowserClient, office: ServedMicrosoft365
) -> None:
    office.system.revoke_consent(ADA)
    office.system.behaviour.app_lag = 30
    try:
        auth_flow, reply = sign_in(entra, browser)
        with pytest.raises(ConsentRequiredError) as refused:
            entra.redeem(CONTOSO, auth_flow, reply)
        assert refused.value.replicating == "app"

        office.system.clock.advance(timedelta(seconds=31))

        assert entra.redeem(CONTOSO, auth_flow, reply).tokens
    finally:
        office.system.behaviour.app_lag = 0
        office.system.clock.reset()


def test_a_scope_that_shows_later_comes_with_a_refresh(
    entra: EntraAuthority, browser: BrowserClient, office: ServedMicrosoft365
) -> None:
    office.system.revoke_consent(ADA)
    office.system.behaviour.consent_lag = 30
    try:
        auth_flow, reply = sign_in(entra, browser)
        early = entra.redeem(CONTOSO, auth_flow, reply)
        assert early.scopes == frozenset()
        account = Account(office.system.user(ADA).object_id, CONTOSO, ADA)
        with pytest.raises(ConsentRequiredError) as refused:
            entra.refresh(CONTOSO, early.tokens, account, SCOPES)
        assert refused.value.replicating == "consent"

        office.system.clock.advance(timedelta(seconds=31))

        issued = entra.refresh(CONTOSO, early.tokens, account, SCOPES)
        assert set(SCOPES) <= (issued.scopes or set())
    finally:
        office.system.behaviour.consent_lag = 0
        office.system.clock.reset()


def test_an_admin_can_request_the_consent_page_again(entra: EntraAuthority) -> None:
    begun = entra.begin(CONTOSO, SCOPES, "the-state", ADA, force_consent=True)

    query = parse_qs(urlsplit(begun.address).query)
    assert (query["prompt"], query["login_hint"]) == (["consent"], [ADA])


def test_a_permission_that_needs_admin_approval_is_reported(
    entra: EntraAuthority, browser: BrowserClient, office: ServedMicrosoft365
) -> None:
    auth_flow, reply = sign_in(entra, browser)
    office.system.faults.add("token", Effect(aadsts=90094))

    with pytest.raises(ConsentRequiredError) as refused:
        entra.redeem(CONTOSO, auth_flow, reply)
    assert refused.value.code == "admin_approval_needed"


def test_discovery_is_requested_each_time(entra: EntraAuthority, office: ServedMicrosoft365) -> None:
    entra.discover(CONTOSO)
    entra.discover(CONTOSO)
    assert len(office.system.requests.all("discovery")) == 2

    office.system.faults.add("discovery", "busy")
    with pytest.raises(TransientError) as refused:
        entra.discover(CONTOSO)
    assert refused.value.code == "entra_unavailable"


def test_revoking_an_unrelated_permission_does_not_stop_mail(
    config: AppConfig, entra: EntraAuthority, redeemed: TokenResponse, office: ServedMicrosoft365
) -> None:
    office.system.grant_consent(ADA, "User.Read")
    granted = entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES).scopes
    vault = MemoryVault({"name": redeemed.tokens})
    custody = AccessTokenCache(vault, entra, MemorySettings(), RealSystem(), lambda: frozenset({CONTOSO}))
    office.system.revoke_consent(ADA, "User.Read")

    consent = a_consent(account=ACCOUNT, scopes=granted, secret_name="name", stored_at=RealSystem().now())

    assert granted == frozenset({"Mail.Send", "User.Read"})
    assert custody.get(CONTOSO, consent)


def test_tokens_that_can_not_be_refreshed_are_no_consent(
    entra: EntraAuthority, browser: BrowserClient
) -> None:
    begun = entra.begin(CONTOSO, SCOPES, "the-state", ADA)
    page = browser.consent(begun.address.replace("offline_access", ""), ADA)

    with pytest.raises(ConsentRequiredError) as refused:
        entra.redeem(CONTOSO, begun.auth_flow, page.forms[0].fields)
    assert refused.value.code == "permission_not_granted"
    assert refused.value.params == {"missing": "offline_access"}
