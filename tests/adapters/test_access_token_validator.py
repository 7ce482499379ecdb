"""Callers' tokens against real keys: every invalid token is refused."""

import base64
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest

from shared.adapters.access_token_validator import EntraCallerTokens
from shared.adapters.signing_keys import KeyLifetimes
from shared.api.auth import authorize, verified_claims
from shared.api.openapi.settings import READ
from shared.config import AppConfig
from shared.errors import ForbiddenError, InvalidInputError, TransientError, UnauthenticatedError
from shared.problems import explain
from tests.api_client import a_request
from tests.fakes import CONFIG
from tests.local_stack.fixtures import ServedMicrosoft365
from tests.local_stack.microsoft365 import Effect, Microsoft365
from tests.local_stack.microsoft365.contoso import ADA, CLIENT_ID, CONTOSO, FABRIKAM, MALLORY, UMA
from tests.local_stack.microsoft365.tokens import SigningKey


@pytest.fixture
def callers(config: AppConfig) -> EntraCallerTokens:
    return EntraCallerTokens(config)


@pytest.fixture
def system(office: ServedMicrosoft365) -> Microsoft365:
    return office.system


def refusal(callers: EntraCallerTokens, token: str) -> tuple[type[InvalidInputError], str]:
    """Return how an endpoint refuses a token."""
    request = a_request(headers={"authorization": f"Bearer {token}"})
    with pytest.raises(InvalidInputError) as refused:
        authorize(verified_claims(request, callers), READ, CONFIG)
    return type(refused.value), refused.value.code


def test_an_admins_token_is_accepted(callers: EntraCallerTokens, system: Microsoft365) -> None:
    claims = callers.verify(system.api_token(ADA))

    assert (claims["tid"], claims["preferred_username"]) == (CONTOSO, ADA)


def test_a_clock_that_is_a_minute_off_is_forgiven(callers: EntraCallerTokens, system: Microsoft365) -> None:
    assert callers.verify(system.api_token(ADA, lifetime=timedelta(seconds=-30)))


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("not signed", {"alg": "none"}),
    ("signed with the public key as a shared secret", {"alg": "HS256"}),
    ("signed with a key that Entra never published", {"forged": True}),
    ("naming an unknown key", {"kid": "unknown"}),
    ("for another audience", {"audience": "api://another-app"}),
    ("by another issuer", {"iss": f"https://login.microsoftonline.com/{CONTOSO}/v2.0"}),
    ("by the issuer of another tenant", {"iss": f"https://sts.windows.net/{FABRIKAM}/"}),
    ("expired", {"lifetime": timedelta(minutes=-5)}),
    ("not valid yet", {"nbf": int(time.time()) + 86_400}),
    ("without an expiry", {"exp": None}),
    ("without a tenant", {"tid": None}),
    ("with a tenant that is no text", {"tid": 7}),
    ("without a person", {"oid": None}),
    ("of nobody, without scp", {"scp": None}),
]


@pytest.mark.parametrize(("how", "changes"), WRONG, ids=[how for how, _ in WRONG])
def test_a_token_is_refused_that_is(
    how: str, changes: dict[str, Any], callers: EntraCallerTokens, system: Microsoft365
) -> None:
    assert refusal(callers, system.api_token(ADA, **changes)) == (UnauthenticatedError, "token_invalid")


@pytest.mark.parametrize("audience", [CLIENT_ID, f"api://{CLIENT_ID}"])
@pytest.mark.parametrize("host", ["sts.windows.net", "sts.chinacloudapi.cn"])
def test_a_token_of_version_1_is_an_operator_error(
    audience: str,
    host: str,
    callers: EntraCallerTokens,
    system: Microsoft365,
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = system.api_token(ADA, iss=f"https://{host}/{CONTOSO}/", audience=audience)

    assert refusal(callers, token) == (UnauthenticatedError, "token_version_unsupported")
    assert "token_version_unsupported" in caplog.text


def test_a_token_that_only_claims_version_1_is_refused_as_any_other(
    callers: EntraCallerTokens, system: Microsoft365
) -> None:
    issuer = f"https://sts.windows.net/{CONTOSO}/"
    for wrong in ({"forged": True}, {"audience": "api://another-app"}, {"lifetime": timedelta(minutes=-5)}):
        token = system.api_token(ADA, iss=issuer, **wrong)
        assert refusal(callers, token) == (UnauthenticatedError, "token_invalid")


def test_an_id_token_is_no_access_token(callers: EntraCallerTokens, system: Microsoft365) -> None:
    ada = system.user(ADA)

    assert refusal(callers, system.tokens.id_token(CLIENT_ID, ada, "nonce", roles=["Workspace.Admin"])) == (
        UnauthenticatedError,
        "token_invalid",
    )


def test_a_token_for_graph_is_no_token_for_us(callers: EntraCallerTokens, system: Microsoft365) -> None:
    assert refusal(callers, system.graph_token(ADA, "Mail.Send")) == (UnauthenticatedError, "token_invalid")


def test_an_apps_own_token_is_no_persons(callers: EntraCallerTokens, system: Microsoft365) -> None:
    token = system.tokens.app_token(CONTOSO, "daemon", "daemon-id", CLIENT_ID, roles=["Workspace.Admin"])

    assert refusal(callers, token) == (ForbiddenError, "signed_in_admin_required")


def test_an_unserved_tenant_is_refused_before_its_token_signature_is_read(
    callers: EntraCallerTokens, system: Microsoft365
) -> None:
    for token in (system.api_token(MALLORY), system.api_token(MALLORY, forged=True)):
        assert refusal(callers, token) == (UnauthenticatedError, "token_invalid")

    assert system.requests.all("keys") == []


def test_the_token_refusal_mentions_that_the_tenant_may_not_be_served() -> None:
    sentence = explain("token_invalid").detail

    assert sentence.endswith("or this installation does not serve your organisation.")


def test_a_token_whose_content_is_nested_too_deep_is_refused(callers: EntraCallerTokens) -> None:
    nested = base64.urlsafe_b64encode(b"[" * 20_000).rstrip(b"=").decode()

    assert refusal(callers, f"eyJhbGciOiJSUzI1NiJ9.{nested}.c2ln") == (UnauthenticatedError, "token_invalid")


def test_a_stranger_can_not_pass_by_naming_our_tenant(
    callers: EntraCallerTokens, system: Microsoft365
) -> None:
    assert refusal(callers, system.api_token(MALLORY, tid=CONTOSO)) == (UnauthenticatedError, "token_invalid")


def test_a_person_without_the_role_is_refused(callers: EntraCallerTokens, system: Microsoft365) -> None:
    assert refusal(callers, system.api_token(UMA)) == (ForbiddenError, "workspace_admin_required")


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "é"])
def test_nonsense_is_refused(callers: EntraCallerTokens, token: str) -> None:
    assert refusal(callers, token) == (UnauthenticatedError, "token_invalid")


def test_keys_are_fetched_once(callers: EntraCallerTokens, system: Microsoft365) -> None:
    for _ in range(3):
        callers.verify(system.api_token(ADA))

    assert len(system.requests.all("keys")) == 1


def test_while_entras_keys_cannot_be_fetched_every_token_is_refused(
    callers: EntraCallerTokens, system: Microsoft365
) -> None:
    system.faults.add("keys", "busy")

    with pytest.raises(TransientError) as refused:
        callers.verify(system.api_token(ADA))
    assert refused.value.code == "entra_unavailable"


@pytest.mark.parametrize("response", [Effect(200, body="html"), Effect(200, body="empty")], ids=str)
def test_a_response_that_is_no_key_set_refuses_no_token(
    response: Effect, callers: EntraCallerTokens, system: Microsoft365
) -> None:
    system.faults.add("keys", response)

    with pytest.raises(TransientError) as refused:
        callers.verify(system.api_token(ADA))
    assert refused.value.code == "entra_unavailable"


def test_a_withdrawn_key_is_trusted_until_the_keys_are_discarded(
    config: AppConfig, system: Microsoft365
) -> None:
    callers = EntraCallerTokens(config, KeyLifetimes(discard_after=1e-9))
    token, withdrawn = system.api_token(ADA), system.tokens.key
    assert callers.verify(token)

    system.tokens.key = SigningKey()
    try:
        assert callers.verify(system.api_token(ADA))
        assert refusal(callers, token) == (UnauthenticatedError, "token_invalid")
    finally:
        system.tokens.key = withdrawn


def test_a_token_without_a_key_id_is_refused(callers: EntraCallerTokens, system: Microsoft365) -> None:
    claims = jwt.decode(system.api_token(ADA), options={"verify_signature": False})
    token = jwt.encode(claims, system.tokens.key.private, "RS256")

    assert refusal(callers, token) == (UnauthenticatedError, "token_invalid")
