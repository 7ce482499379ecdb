"""Consent and tokens against a real token endpoint, through MSAL."""

import json
import logging
import traceback
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from shared.adapters.entra import EntraAuthority
from shared.config import AppConfig
from shared.consent.custody import Custody
from shared.errors import ConfigurationError, ConsentRequiredError, InvalidInputError, TransientError
from shared.ports import Redeemed
from shared.settings.tenant import Account
from shared.world import RealWorld
from tests.builders import a_consent
from tests.fakes import MemorySettings, MemoryVault
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.fixtures import ServedMicrosoft365
from tests.local_stack.microsoft365 import Effect
from tests.local_stack.microsoft365.contoso import ADA, CLIENT_ID, CLIENT_SECRET, CONTOSO, UMA
from tests.local_stack.visitor import Visitor

SCOPES = ("Mail.Send",)
#: What a proxy or a cut connection makes of an answer.
PAGE = Effect(200, body="html")
ACCOUNT = Account("0b1ec700-0000-4000-8000-000000000001", CONTOSO, ADA)


@pytest.fixture
def entra(config: AppConfig) -> EntraAuthority:
    return EntraAuthority(config, CLIENT_SECRET, RealWorld())


@pytest.fixture
def visitor(local_authority: LocalAuthority) -> Visitor:
    """A browser that stops where Microsoft would post its answer."""
    return Visitor(local_authority.ca_file, posts_by_itself=False)


def sign_in(
    entra: EntraAuthority, visitor: Visitor, *, accept: bool = True
) -> tuple[dict[str, str], dict[str, str]]:
    """Return what proves the answer, and the answer."""
    begun = entra.begin(CONTOSO, SCOPES, "the-state", ADA)
    page = visitor.consent(begun.address, ADA, accept=accept)
    return dict(begun.proof), dict(page.forms[0].fields)


@pytest.fixture
def redeemed(entra: EntraAuthority, visitor: Visitor) -> Redeemed:
    proof, reply = sign_in(entra, visitor)
    return entra.redeem(CONTOSO, proof, reply)


def test_a_sign_in_asks_for_an_answer_by_post_bound_to_this_app(entra: EntraAuthority) -> None:
    begun = entra.begin(CONTOSO, SCOPES, "the-state", ADA)

    query = {name: values[0] for name, values in parse_qs(urlsplit(begun.address).query).items()}
    assert query["response_mode"] == "form_post"
    assert query["response_type"] == "code"
    assert query["redirect_uri"] == "https://mailer.example.test/api/consent/callback"
    assert query["prompt"] == "select_account"
    assert query["login_hint"] == ADA
    assert query["state"] == "the-state"
    assert query["code_challenge_method"] == "S256"
    assert set(query["scope"].split()) == {"Mail.Send", "openid", "profile", "offline_access"}


def test_what_proves_the_answer_is_not_in_the_address(entra: EntraAuthority) -> None:
    begun = entra.begin(CONTOSO, SCOPES, "the-state", ADA)

    assert begun.proof["code_verifier"] not in begun.address
    assert begun.proof["nonce"] not in begun.address


def test_a_code_becomes_tokens_and_a_name(redeemed: Redeemed) -> None:
    assert redeemed.claims["preferred_username"] == ADA
    assert redeemed.claims["tid"] == CONTOSO
    assert redeemed.scopes == {"Mail.Send"}


def test_only_what_a_later_refresh_needs_is_kept(redeemed: Redeemed) -> None:
    assert set(json.loads(redeemed.tokens)) == {"Account", "RefreshToken", "AppMetadata"}
    assert len(redeemed.tokens) < 5_000


def test_a_kept_token_becomes_an_access_token(
    entra: EntraAuthority, redeemed: Redeemed, office: ServedMicrosoft365
) -> None:
    office.world.requests.clear()
    before = RealWorld().now()

    issued = entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES)

    assert issued.scopes == {"Mail.Send"}
    assert 70 * 60 < (issued.expires_at - before).total_seconds() < 80 * 60
    assert issued.tokens != redeemed.tokens
    assert len(office.world.requests.all("token")) == 1
    assert "access_token" not in issued.tokens.lower()


def test_a_new_process_refreshes_from_what_is_kept(
    config: AppConfig, entra: EntraAuthority, redeemed: Redeemed
) -> None:
    restarted = EntraAuthority(config, CLIENT_SECRET, RealWorld())

    issued = restarted.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES)

    assert restarted.refresh(CONTOSO, issued.tokens, ACCOUNT, SCOPES).access_token


def test_what_is_kept_of_a_sign_in_does_not_hold_its_state(entra: EntraAuthority) -> None:
    assert "the-state" not in str(entra.begin(CONTOSO, SCOPES, "the-state", ADA).proof)


def test_an_id_token_with_another_nonce_is_refused(entra: EntraAuthority, visitor: Visitor) -> None:
    proof, reply = sign_in(entra, visitor)

    with pytest.raises(InvalidInputError) as refused:
        entra.redeem(CONTOSO, {**proof, "nonce": "another"}, reply)
    assert refused.value.code == "consent_reply_invalid"
    assert refused.value.__cause__ is None
    assert proof["nonce"] not in str(refused.value)


def test_a_code_of_another_browser_fails_the_pkce_check(entra: EntraAuthority, visitor: Visitor) -> None:
    proof, reply = sign_in(entra, visitor)

    with pytest.raises(ConsentRequiredError) as refused:
        entra.redeem(CONTOSO, {**proof, "code_verifier": "x" * 43}, reply)
    assert refused.value.code == "consent_failed"
    assert refused.value.facts["error"] == "AADSTS501481"


def test_a_code_is_good_once(entra: EntraAuthority, visitor: Visitor) -> None:
    proof, reply = sign_in(entra, visitor)
    entra.redeem(CONTOSO, proof, reply)

    with pytest.raises(ConsentRequiredError) as refused:
        entra.redeem(CONTOSO, proof, reply)
    assert refused.value.code == "consent_code_used"


@pytest.mark.parametrize(
    ("button", "kind", "code"),
    [
        ("refresh token expired", ConsentRequiredError, "consent_lost"),
        ("grant revoked", ConsentRequiredError, "consent_lost"),
        ("needs MFA", ConsentRequiredError, "consent_lost"),
        ("secret expired", ConfigurationError, "client_credential_refused"),
        ("Entra busy", TransientError, "entra_unavailable"),
        ("Entra throttled", TransientError, "entra_unavailable"),
        ("busy", TransientError, "entra_unavailable"),
        ("internal error", TransientError, "entra_unavailable"),
        ("reset", TransientError, "entra_unavailable"),
        ("refused", TransientError, "entra_unavailable"),
        (Effect(aadsts=53003), ConsentRequiredError, "sign_in_blocked"),
        (Effect(aadsts=50105), ConsentRequiredError, "sign_in_blocked"),
        (Effect(aadsts=700016), ConfigurationError, "app_registration_wrong"),
        (Effect(aadsts=70011), ConfigurationError, "app_registration_wrong"),
    ],
    ids=str,
)
def test_a_refresh_that_fails_says_who_must_act(
    button: str | Effect,
    kind: type[Exception],
    code: str,
    entra: EntraAuthority,
    redeemed: Redeemed,
    office: ServedMicrosoft365,
) -> None:
    # MSAL repeats a connection that breaks once.
    office.world.faults.add("token", button, times=3)

    with pytest.raises(kind) as refused:
        entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES)
    assert refused.value.code == code  # type: ignore[attr-defined]


def test_a_refusal_carries_microsofts_trace_and_none_of_its_text(
    entra: EntraAuthority, redeemed: Redeemed, office: ServedMicrosoft365
) -> None:
    office.world.faults.add("token", "grant revoked")

    with pytest.raises(ConsentRequiredError) as refused:
        entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES)
    assert refused.value.request_id
    assert refused.value.facts == {"account": ADA, "error": "AADSTS50173"}
    assert "revoked" not in str(refused.value)


def test_kept_tokens_without_a_refresh_token_are_a_lost_consent(entra: EntraAuthority) -> None:
    with pytest.raises(ConsentRequiredError) as refused:
        entra.refresh(CONTOSO, "{}", ACCOUNT, SCOPES)
    assert refused.value.facts["error"] == "no_refresh_token"


def test_a_permission_that_was_taken_back_is_a_lost_consent(
    entra: EntraAuthority, redeemed: Redeemed, office: ServedMicrosoft365
) -> None:
    office.world.revoke_consent(ADA)

    with pytest.raises(ConsentRequiredError) as refused:
        entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES)
    assert refused.value.code == "consent_lost"


def test_the_tenants_endpoints_are_looked_up_once(entra: EntraAuthority, office: ServedMicrosoft365) -> None:
    for _ in range(3):
        entra.begin(CONTOSO, SCOPES, "s", ADA)

    assert len(office.world.requests.all("discovery")) == 1


def test_while_entra_can_not_be_reached_nothing_can_begin(config: AppConfig) -> None:
    nowhere = replace(config, authority_host="https://127.0.0.1:9")

    with pytest.raises(TransientError) as refused:
        EntraAuthority(nowhere, CLIENT_SECRET, RealWorld()).begin(CONTOSO, SCOPES, "s", ADA)
    assert refused.value.code == "entra_unavailable"


def test_while_entra_can_not_be_reached_no_token_is_lost(config: AppConfig, redeemed: Redeemed) -> None:
    nowhere = replace(config, authority_host="https://127.0.0.1:9")

    with pytest.raises(TransientError):
        EntraAuthority(nowhere, CLIENT_SECRET, RealWorld()).refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES)
    with pytest.raises(TransientError):
        EntraAuthority(nowhere, CLIENT_SECRET, RealWorld()).app_only(CONTOSO)


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
def test_while_the_tenants_endpoints_can_not_be_had_everything_waits(
    button: str | Effect, call: str, config: AppConfig, redeemed: Redeemed, office: ServedMicrosoft365
) -> None:
    office.world.faults.add("discovery", button, times=3)

    with pytest.raises(TransientError) as refused:
        CALLS[call](EntraAuthority(config, CLIENT_SECRET, RealWorld()), redeemed.tokens)
    assert refused.value.code == "entra_unavailable"


@pytest.mark.parametrize("call", CALLS)
def test_a_tenant_that_entra_does_not_know_is_the_operators(
    call: str, config: AppConfig, redeemed: Redeemed, office: ServedMicrosoft365
) -> None:
    office.world.faults.add("discovery", Effect(aadsts=90002), times=3)

    with pytest.raises(ConfigurationError) as refused:
        CALLS[call](EntraAuthority(config, CLIENT_SECRET, RealWorld()), redeemed.tokens)
    assert refused.value.code == "app_registration_wrong"


@pytest.mark.parametrize("answer", [PAGE, Effect(429, "never_heard_of"), Effect(429, body="html")], ids=str)
@pytest.mark.parametrize("call", ["redeem", "refresh", "app_only"])
def test_an_answer_that_says_nothing_about_the_tokens_is_waited_out(
    answer: Effect, call: str, entra: EntraAuthority, redeemed: Redeemed, office: ServedMicrosoft365
) -> None:
    office.world.faults.add("token", answer, times=3)

    with pytest.raises(TransientError) as refused:
        CALLS[call](entra, redeemed.tokens)
    assert refused.value.code == "entra_unavailable"


def test_an_answer_that_is_no_json_is_not_logged_because_it_may_hold_tokens(
    entra: EntraAuthority, redeemed: Redeemed, office: ServedMicrosoft365, caplog: pytest.LogCaptureFixture
) -> None:
    office.world.faults.add("token", PAGE)

    with caplog.at_level(logging.DEBUG), pytest.raises(TransientError) as refused:
        entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES)

    assert "Service error" not in caplog.text
    assert "Service error" not in "".join(traceback.format_exception(refused.value))


def test_a_wrong_secret_is_the_operators(config: AppConfig, entra: EntraAuthority, visitor: Visitor) -> None:
    proof, reply = sign_in(entra, visitor)

    with pytest.raises(ConfigurationError) as refused:
        EntraAuthority(config, "wrong", RealWorld()).redeem(CONTOSO, proof, reply)
    assert refused.value.code == "client_credential_refused"
    assert refused.value.facts["error"] == "AADSTS7000215"


def test_an_ordinary_user_may_consent_to_send(entra: EntraAuthority, visitor: Visitor) -> None:
    begun = entra.begin(CONTOSO, SCOPES, "the-state", UMA)
    page = visitor.consent(begun.address, UMA)

    redeemed = entra.redeem(CONTOSO, begun.proof, page.forms[0].fields)

    assert redeemed.claims["preferred_username"] == UMA
    assert redeemed.claims["aud"] == CLIENT_ID


# The app itself


def test_an_admin_consents_to_the_apps_own_permissions(
    entra: EntraAuthority, visitor: Visitor, office: ServedMicrosoft365
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
    office.world.consents.grant_application(CLIENT_ID, CONTOSO, ("Mail.Send",))

    assert entra.app_only(CONTOSO).scopes == {"Mail.Send"}


def test_an_apps_token_is_for_the_app(entra: EntraAuthority, office: ServedMicrosoft365) -> None:
    office.world.consents.grant_application(CLIENT_ID, CONTOSO, ("Mail.Send", "Mail.ReadWrite"))

    issued = entra.app_only(CONTOSO)

    claims = jwt.decode(issued.access_token, options={"verify_signature": False})
    assert (claims["idtyp"], claims["tid"]) == ("app", CONTOSO)
    assert issued.scopes == {"Mail.Send", "Mail.ReadWrite"}
    assert issued.tokens == ""


def test_a_refusal_of_the_app_is_not_remembered(entra: EntraAuthority, office: ServedMicrosoft365) -> None:
    office.world.faults.add("token", Effect(aadsts=700016))
    with pytest.raises(ConfigurationError):
        entra.app_only(CONTOSO)

    assert entra.app_only(CONTOSO).access_token


def test_an_admin_who_asks_for_it_sees_the_consent_page_again(entra: EntraAuthority) -> None:
    begun = entra.begin(CONTOSO, SCOPES, "the-state", ADA, ask_again=True)

    assert parse_qs(urlsplit(begun.address).query)["prompt"] == ["consent"]


def test_a_permission_that_an_admin_must_approve_says_so(
    entra: EntraAuthority, visitor: Visitor, office: ServedMicrosoft365
) -> None:
    proof, reply = sign_in(entra, visitor)
    office.world.faults.add("token", Effect(aadsts=90094))

    with pytest.raises(ConsentRequiredError) as refused:
        entra.redeem(CONTOSO, proof, reply)
    assert refused.value.code == "admin_approval_needed"


def test_discovery_is_asked_each_time(entra: EntraAuthority, office: ServedMicrosoft365) -> None:
    entra.discover(CONTOSO)
    entra.discover(CONTOSO)
    assert len(office.world.requests.all("discovery")) == 2

    office.world.faults.add("discovery", "busy")
    with pytest.raises(TransientError) as refused:
        entra.discover(CONTOSO)
    assert refused.value.code == "entra_unavailable"


def test_a_permission_for_something_else_that_is_taken_back_does_not_stop_mail(
    config: AppConfig, entra: EntraAuthority, redeemed: Redeemed, office: ServedMicrosoft365
) -> None:
    office.world.grant_consent(ADA, "User.Read")
    granted = entra.refresh(CONTOSO, redeemed.tokens, ACCOUNT, SCOPES).scopes
    vault = MemoryVault({"name": redeemed.tokens})
    custody = Custody(vault, entra, MemorySettings(), RealWorld())
    office.world.revoke_consent(ADA, "User.Read")

    consent = a_consent(account=ACCOUNT, scopes=granted, secret_name="name", stored_at=RealWorld().now())

    assert granted == {"Mail.Send", "User.Read"}
    assert custody.get(CONTOSO, consent)


def test_tokens_that_can_not_be_refreshed_are_no_consent(entra: EntraAuthority, visitor: Visitor) -> None:
    begun = entra.begin(CONTOSO, SCOPES, "the-state", ADA)
    page = visitor.consent(begun.address.replace("offline_access", ""), ADA)

    with pytest.raises(ConsentRequiredError) as refused:
        entra.redeem(CONTOSO, begun.proof, page.forms[0].fields)
    assert refused.value.code == "permission_not_granted"
    assert refused.value.facts == {"missing": "offline_access"}
