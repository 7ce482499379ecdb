"""The behaviour of the local Entra, as the real one is documented."""

import base64
import hashlib
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.emulator_tests.conftest import Emulator
from tests.local_stack.microsoft365 import Effect
from tests.local_stack.microsoft365.contoso import (
    ADA,
    CLIENT_ID,
    CLIENT_SECRET,
    CONTOSO,
    FABRIKAM,
    FINANCE,
    MALLORY,
    REPORTS,
    UMA,
)
from tests.local_stack.microsoft365.directory import FederatedCredential, Secret, User

SEND = "Mail.Send"
READ_WRITE = "Mail.ReadWrite"
APP_SCOPE = "https://graph.microsoft.com/.default"


def token_request(emulator: Emulator, tenant: str = CONTOSO, **form: str) -> requests.Response:
    named = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET} | form
    kept = {name: value for name, value in named.items() if value}
    return emulator.session().post(f"{emulator.entra}/{tenant}/oauth2/v2.0/token", data=kept, timeout=10)


def authorize_url(emulator: Emulator, tenant: str = CONTOSO, **query: str) -> str:
    named = {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": emulator.redirect_uri,
        "scope": f"openid profile offline_access {SEND}",
        "state": "state-1",
    }
    return f"{emulator.entra}/{tenant}/oauth2/v2.0/authorize?{urlencode(named | query)}"


def admin_consent_url(emulator: Emulator, tenant: str = CONTOSO, **query: str) -> str:
    named = {
        "client_id": CLIENT_ID,
        "redirect_uri": emulator.redirect_uri,
        "scope": APP_SCOPE,
        "state": "state-2",
    }
    return f"{emulator.entra}/{tenant}/v2.0/adminconsent?{urlencode(named | query)}"


def a_code(emulator: Emulator, account: str = REPORTS, **query: str) -> str:
    emulator.browser().consent(authorize_url(emulator, **query), account)
    return emulator.callback.responses[-1]["code"]


def redeem(emulator: Emulator, code: str, tenant: str = CONTOSO, **form: str) -> requests.Response:
    named = {"grant_type": "authorization_code", "code": code, "redirect_uri": emulator.redirect_uri}
    return token_request(emulator, tenant, **(named | form))


def refresh(emulator: Emulator, token: str, scope: str = SEND, **form: str) -> requests.Response:
    return token_request(emulator, grant_type="refresh_token", refresh_token=token, scope=scope, **form)


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def refused(response: requests.Response) -> tuple[int, str, int]:
    document = response.json()
    return response.status_code, document["error"], document["error_codes"][0]


# Discovery and keys


def test_msal_redeems_a_code_and_reads_who_signed_in(emulator: Emulator) -> None:
    result = emulator.token_result(REPORTS, SEND)

    user = emulator.system.user(REPORTS)
    assert result["scope"].split() == ["email", "openid", "profile", SEND]
    assert result["id_token_claims"]["oid"] == user.object_id
    assert result["id_token_claims"]["tid"] == CONTOSO
    assert result["id_token_claims"]["aud"] == CLIENT_ID
    assert result["id_token_claims"]["iss"] == f"{emulator.entra}/{CONTOSO}/v2.0"
    assert result["refresh_token"]


def test_msal_names_the_account_by_client_info(emulator: Emulator) -> None:
    app = emulator.msal_app()
    flow, _ = emulator.sign_in(REPORTS, SEND)

    app.acquire_token_by_auth_code_flow(flow, emulator.callback.responses[-1])

    user = emulator.system.user(REPORTS)
    assert [a["home_account_id"] for a in app.get_accounts()] == [f"{user.object_id}.{CONTOSO}"]
    assert [a["username"] for a in app.get_accounts()] == [REPORTS]


def test_msal_finds_its_token_again_whichever_way_the_scope_is_spelt(emulator: Emulator) -> None:
    for scope in (SEND, f"https://graph.microsoft.com/{SEND}", f"{emulator.graph}/{SEND}"):
        app = emulator.msal_app()
        flow = app.initiate_auth_code_flow(
            [scope], redirect_uri=emulator.redirect_uri, response_mode="form_post"
        )
        emulator.browser().consent(flow["auth_uri"], REPORTS)
        app.acquire_token_by_auth_code_flow(flow, emulator.callback.responses[-1])
        before = emulator.system.requests.count("token")

        found = app.acquire_token_silent_with_error([scope], app.get_accounts()[0])

        assert found["access_token"]
        assert emulator.system.requests.count("token") == before


def test_a_tenant_is_known_by_its_id_and_its_domain(emulator: Emulator) -> None:
    for name in (CONTOSO, "contoso.com"):
        response = emulator.session().get(
            f"{emulator.entra}/{name}/v2.0/.well-known/openid-configuration", timeout=5
        )

        assert response.json()["issuer"] == f"{emulator.entra}/{CONTOSO}/v2.0"


def test_an_unknown_tenant_has_no_configuration(emulator: Emulator) -> None:
    response = emulator.session().get(
        f"{emulator.entra}/nobody.com/v2.0/.well-known/openid-configuration", timeout=5
    )

    assert refused(response) == (400, "invalid_request", 90002)


def test_tokens_are_signed_with_a_key_that_the_tenant_publishes(emulator: Emulator) -> None:
    result = emulator.token_result(REPORTS, SEND)
    keys = jwt.PyJWKSet.from_dict(
        emulator.session().get(f"{emulator.entra}/{CONTOSO}/discovery/v2.0/keys", timeout=5).json()
    )

    for name, audience in (("id_token", CLIENT_ID), ("access_token", "https://graph.microsoft.com")):
        kid = jwt.get_unverified_header(result[name])["kid"]
        jwt.decode(result[name], keys[kid].key, algorithms=["RS256"], audience=audience)


def test_there_is_no_revocation_endpoint(emulator: Emulator) -> None:
    configuration = emulator.session().get(
        f"{emulator.entra}/{CONTOSO}/v2.0/.well-known/openid-configuration", timeout=5
    )
    response = emulator.session().post(f"{emulator.entra}/{CONTOSO}/oauth2/v2.0/revoke", timeout=5)

    assert "revocation_endpoint" not in configuration.json()
    assert response.status_code == 404


# The pages


def test_pages_cut_the_popup_off_and_refuse_to_be_framed(emulator: Emulator) -> None:
    browser = emulator.browser()

    for page in (browser.open(authorize_url(emulator)), browser.choose(REPORTS)):
        assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert page.headers["X-Frame-Options"] == "DENY"


def test_consent_is_requested_once(emulator: Emulator) -> None:
    browser = emulator.browser()
    browser.open(authorize_url(emulator))
    assert browser.choose(REPORTS).title == "Permissions requested"
    browser.accept()

    browser.open(authorize_url(emulator, prompt="select_account"))

    assert browser.choose(REPORTS).title == "Back"


def test_only_new_permissions_are_requested(emulator: Emulator) -> None:
    emulator.system.grant_consent(ADA, SEND)
    browser = emulator.browser()
    browser.open(authorize_url(emulator, scope=f"{SEND} {READ_WRITE}"))

    page = browser.choose(ADA)

    assert f"<code>{READ_WRITE}</code>" in page.text
    assert f"<code>{SEND}</code>" not in page.text


def test_prompt_consent_requests_everything_again(emulator: Emulator) -> None:
    emulator.system.grant_consent(REPORTS, SEND)
    browser = emulator.browser()
    browser.open(authorize_url(emulator, prompt="consent"))

    page = browser.choose(REPORTS)

    assert f"<code>{SEND}</code>" in page.text


def test_a_signed_in_person_sees_no_account_picker_unless_requested(emulator: Emulator) -> None:
    browser = emulator.browser()
    browser.consent(authorize_url(emulator), REPORTS)

    assert browser.open(authorize_url(emulator)).title == "Back"
    assert browser.open(authorize_url(emulator, prompt="select_account")).title == "Pick an account"


def test_the_hinted_account_is_filled_in_and_comes_first(emulator: Emulator) -> None:
    page = emulator.browser().open(authorize_url(emulator, prompt="login", login_hint=UMA))

    assert page.forms[0].buttons[0].value == UMA
    assert page.forms[1].fields["account"] == UMA


def test_an_account_can_not_be_hinted_where_one_must_be_selected(emulator: Emulator) -> None:
    page = emulator.browser().open(authorize_url(emulator, prompt="select_account", login_hint=UMA))

    assert "AADSTS90023" in page.text


def test_prompt_none_never_shows_a_page(emulator: Emulator) -> None:
    browser = emulator.browser()

    browser.open(authorize_url(emulator, prompt="none"))
    assert emulator.callback.responses[-1]["error"] == "login_required"

    browser.consent(authorize_url(emulator), REPORTS)
    browser.open(authorize_url(emulator, prompt="none", scope=f"{SEND} Mail.Send.Shared"))
    assert emulator.callback.responses[-1]["error"] == "interaction_required"

    browser.open(authorize_url(emulator, prompt="none"))
    assert "code" in emulator.callback.responses[-1]


@pytest.mark.parametrize("described", [True, False])
def test_cancel_returns_access_denied_with_or_without_description(
    emulator: Emulator, *, described: bool
) -> None:
    emulator.system.behaviour.decline_description = described

    emulator.browser().consent(authorize_url(emulator, response_mode="form_post"), REPORTS, accept=False)

    response = emulator.callback.responses[-1]
    assert (response["error"], response["error_subcode"], response["state"]) == (
        "access_denied",
        "cancel",
        "state-1",
    )
    assert ("error_description" in response) is described
    assert "code" not in response


def test_a_query_response_is_a_redirect_and_a_posted_one_is_a_form(emulator: Emulator) -> None:
    emulator.browser().consent(authorize_url(emulator, response_mode="query"), REPORTS)
    emulator.browser().consent(authorize_url(emulator, response_mode="form_post"), REPORTS)

    assert [method for method, _ in emulator.callback.requests] == ["GET", "POST"]
    assert [response["state"] for response in emulator.callback.responses] == ["state-1", "state-1"]


def test_a_user_who_requests_read_access_needs_an_admin_without_a_callback(emulator: Emulator) -> None:
    browser = emulator.browser()
    browser.open(authorize_url(emulator, scope=f"{SEND} {READ_WRITE}"))

    assert browser.choose(UMA).title == "Need admin approval"
    with pytest.raises(LookupError):
        browser.cancel()
    assert browser.press("decision", "request").title == "Request sent"
    assert emulator.callback.responses == []


def test_an_approval_page_can_have_a_return_link_that_grants_nothing(emulator: Emulator) -> None:
    emulator.system.directory.change_tenant(CONTOSO, approval_can_return=True)
    browser = emulator.browser()
    browser.open(authorize_url(emulator, scope=READ_WRITE))
    browser.choose(UMA)

    browser.cancel()

    response = emulator.callback.responses[-1]
    assert (response["error"], response["error_subcode"], response["state"]) == (
        "access_denied",
        "cancel",
        "state-1",
    )
    assert "AADSTS" not in response.get("error_description", "")


def test_no_user_can_press_accept_on_the_approval_page(emulator: Emulator) -> None:
    browser = emulator.browser()
    browser.open(authorize_url(emulator, scope=READ_WRITE))
    form = browser.choose(UMA).forms[0]
    form.fields["decision"] = "accept"

    assert browser.submit(form).title == "Need admin approval"
    assert emulator.callback.responses == []


def test_mail_send_needs_no_admin_unless_the_tenant_requires_one(emulator: Emulator) -> None:
    browser = emulator.browser()
    browser.open(authorize_url(emulator))
    assert browser.choose(UMA).title == "Permissions requested"

    emulator.system.directory.change_tenant(CONTOSO, user_consent="nobody")
    browser.open(authorize_url(emulator, prompt="select_account"))
    assert browser.choose(UMA).title == "Need admin approval"


def test_after_tenant_wide_consent_users_see_no_consent_page(emulator: Emulator) -> None:
    admin = emulator.browser()
    admin.open(authorize_url(emulator, scope=READ_WRITE))
    admin.choose(ADA)
    admin.accept(for_everybody=True)

    browser = emulator.browser()
    browser.open(authorize_url(emulator, scope=READ_WRITE))

    assert browser.choose(UMA).title == "Back"


def test_prompt_consent_needs_an_admin_even_after_tenant_wide_consent(emulator: Emulator) -> None:
    emulator.system.grant_consent("*@contoso.com", READ_WRITE)
    browser = emulator.browser()
    browser.open(authorize_url(emulator, scope=READ_WRITE, prompt="consent"))

    assert browser.choose(UMA).title == "Need admin approval"


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ({"redirect_uri": "https://localhost/elsewhere"}, "AADSTS50011"),
        ({"client_id": "6f1c0000-0000-4000-8000-00000000beef"}, "AADSTS700016"),
        ({"client_id": ""}, "AADSTS900144"),
        ({"response_type": ""}, "AADSTS900144"),
        ({"scope": ""}, "AADSTS900144"),
        ({"response_type": "token"}, "AADSTS9002313"),
        ({"response_mode": "web_message"}, "AADSTS90023"),
        ({"prompt": "always"}, "AADSTS90023"),
        ({"code_challenge": "x" * 43, "code_challenge_method": "md5"}, "AADSTS90023"),
        ({"code_challenge": "short", "code_challenge_method": "S256"}, "AADSTS501491"),
        ({"scope": f"{APP_SCOPE} {SEND}"}, "AADSTS70011"),
    ],
)
def test_an_error_that_cannot_be_redirected_is_shown_by_entra(
    emulator: Emulator, query: dict[str, str], number: str
) -> None:
    page = emulator.browser().open(authorize_url(emulator, **query))

    assert page.status == 400
    assert page.url.startswith(emulator.entra)
    assert number in page.text
    assert emulator.callback.responses == []


def test_an_app_that_is_disabled_gets_no_sign_in(emulator: Emulator) -> None:
    emulator.system.directory.change_app(CLIENT_ID, enabled=False)

    assert "AADSTS7000112" in emulator.browser().open(authorize_url(emulator)).text
    assert "AADSTS7000112" in emulator.browser().open(admin_consent_url(emulator)).text


def test_a_form_is_accepted_only_from_the_browser_that_got_it(emulator: Emulator) -> None:
    browser = emulator.browser()
    form = browser.open(authorize_url(emulator)).forms[0]

    fields = form.fields | {"account": ADA}
    page = emulator.browser().post(f"{emulator.entra}/{CONTOSO}/oauth2/v2.0/authorize", fields)

    assert "AADSTS50089" in page.text
    assert browser.choose(REPORTS).title == "Permissions requested"


def test_a_form_older_than_half_an_hour_is_refused(emulator: Emulator) -> None:
    browser = emulator.browser()
    browser.open(authorize_url(emulator))
    emulator.system.clock.advance(timedelta(minutes=30))

    assert "AADSTS50089" in browser.choose(REPORTS).text


def test_a_single_tenant_app_redeems_nothing_without_a_tenant(emulator: Emulator) -> None:
    code = a_code(emulator)

    assert refused(redeem(emulator, code, "organizations")) == (400, "invalid_request", 50194)
    assert redeem(emulator, code).ok


def test_the_default_scope_cannot_be_combined(emulator: Emulator) -> None:
    token = redeem(emulator, a_code(emulator)).json()["refresh_token"]

    assert refused(refresh(emulator, token, f"{APP_SCOPE} {SEND}")) == (400, "invalid_scope", 70011)
    mixed = emulator.browser().open(admin_consent_url(emulator, scope=f"{APP_SCOPE} {SEND}"))
    assert "AADSTS70011" in mixed.text


def test_a_grant_shows_in_tokens_after_the_lag(emulator: Emulator) -> None:
    emulator.system.behaviour.consent_lag = 60
    first = redeem(emulator, a_code(emulator)).json()
    assert SEND not in first["scope"].split()
    assert refused(refresh(emulator, first["refresh_token"])) == (400, "invalid_grant", 65001)
    emulator.system.consents.grant_application(CLIENT_ID, CONTOSO, [SEND])
    early = token_request(emulator, grant_type="client_credentials", scope=APP_SCOPE).json()
    assert "roles" not in claims_of(early["access_token"])

    emulator.system.clock.advance(timedelta(seconds=60))

    assert SEND in refresh(emulator, first["refresh_token"]).json()["scope"].split()
    late = token_request(emulator, grant_type="client_credentials", scope=APP_SCOPE).json()
    assert claims_of(late["access_token"])["roles"] == [SEND]


def test_the_token_endpoint_knows_a_new_app_after_the_lag(emulator: Emulator) -> None:
    emulator.system.behaviour.app_lag = 60
    code = a_code(emulator)
    assert refused(redeem(emulator, code)) == (400, "unauthorized_client", 700016)

    emulator.system.clock.advance(timedelta(seconds=60))

    assert redeem(emulator, code).ok


def test_stale_servers_refuse_every_second_refresh_with_65001_or_700016(emulator: Emulator) -> None:
    emulator.system.behaviour.stale_for = 60
    token = redeem(emulator, a_code(emulator)).json()["refresh_token"]

    responses = [refresh(emulator, token).json() for _ in range(4)]

    assert [response.get("error_codes") for response in responses] == [[65001], None, [700016], None]
    emulator.system.clock.advance(timedelta(seconds=60))
    assert all(refresh(emulator, token).ok for _ in range(4))


def test_servers_that_are_behind_issue_app_tokens_with_the_roles_of_before(emulator: Emulator) -> None:
    emulator.system.behaviour.stale_for = 60
    emulator.system.consents.grant_application(CLIENT_ID, CONTOSO, [READ_WRITE])
    emulator.system.clock.advance(timedelta(seconds=60))
    emulator.system.consents.grant_application(CLIENT_ID, CONTOSO, [SEND])

    tokens = [app_token(emulator).json()["access_token"] for _ in range(2)]

    assert [claims_of(token)["roles"] for token in tokens] == [[READ_WRITE], [READ_WRITE, SEND]]


def test_a_sign_in_name_an_address_and_an_alias_are_three_names(emulator: Emulator) -> None:
    emulator.system.directory.change_user(
        UMA, sign_in_name="u123@contoso.com", aliases=frozenset({"u@contoso.com"})
    )
    by_address = emulator.browser()
    by_address.open(authorize_url(emulator))
    assert "AADSTS50034" in by_address.choose(UMA).text

    claims = emulator.token_result("u123@contoso.com")["id_token_claims"]

    assert (claims["preferred_username"], claims["email"]) == ("u123@contoso.com", UMA)
    assert claims["oid"] == emulator.system.user(UMA).object_id


def test_the_address_is_in_tokens_only_if_the_registration_requests_it(emulator: Emulator) -> None:
    emulator.system.directory.change_app(CLIENT_ID, email_claim=False)

    assert "email" not in emulator.token_result(ADA)["id_token_claims"]


def test_a_guest_signs_in_under_the_name_of_its_home(emulator: Emulator) -> None:
    guest = User(
        "0b1ec700-0000-4000-8000-000000000099",
        CONTOSO,
        MALLORY,
        "Mallory (guest)",
        sign_in_name="mallory_fabrikam.com#EXT#@contoso.com",
        is_guest=True,
        has_mailbox=False,
    )
    emulator.system.directory.add(guest)
    emulator.system.directory.change_app(CLIENT_ID, email_claim=False)

    claims = emulator.token_result(MALLORY)["id_token_claims"]

    assert (claims["tid"], claims["oid"]) == (CONTOSO, guest.object_id)
    assert (claims["preferred_username"], claims["email"]) == (MALLORY, MALLORY)
    assert emulator.system.user(MALLORY).tenant_id == FABRIKAM


def test_a_user_who_is_renamed_is_found_under_the_new_names_only(emulator: Emulator) -> None:
    before = emulator.system.user(UMA)
    emulator.system.directory.change_user(UMA, address="u.young@contoso.com")

    assert emulator.system.directory.user(UMA) is None
    assert emulator.system.user("u.young@contoso.com").object_id == before.object_id


def test_a_redirect_address_must_be_equal_not_similar(emulator: Emulator) -> None:
    for similar in (
        f"{emulator.redirect_uri}/",
        f"{emulator.redirect_uri}?x=1",
        emulator.redirect_uri.upper(),
    ):
        page = emulator.browser().open(authorize_url(emulator, redirect_uri=similar))

        assert "AADSTS50011" in page.text


def test_no_user_of_another_tenant_can_sign_in(emulator: Emulator) -> None:
    browser = emulator.browser()
    browser.open(authorize_url(emulator))

    assert "AADSTS50020" in browser.choose(MALLORY).text
    assert "AADSTS700016" in emulator.browser().open(authorize_url(emulator, FABRIKAM)).text


@pytest.mark.parametrize(
    ("change", "number"),
    [({"enabled": False}, "AADSTS50057"), ({"sign_in_problem": 53003}, "AADSTS53003")],
)
def test_who_may_not_sign_in_reads_why_on_entras_page(
    emulator: Emulator, change: dict[str, Any], number: str
) -> None:
    emulator.system.directory.change_user(UMA, **change)
    browser = emulator.browser()
    browser.open(authorize_url(emulator))

    assert number in browser.choose(UMA).text
    assert emulator.callback.responses == []


def test_a_permission_that_does_not_exist_is_an_error_in_the_callback(emulator: Emulator) -> None:
    emulator.browser().open(authorize_url(emulator, scope="Mail.Sned"))

    assert emulator.callback.responses[-1]["error"] == "invalid_client"
    assert "AADSTS650053" in emulator.callback.responses[-1]["error_description"]


def test_a_form_submitted_twice_calls_the_app_once(emulator: Emulator) -> None:
    browser = emulator.browser()
    browser.open(authorize_url(emulator))
    form = browser.choose(REPORTS).forms[0]
    browser.accept()

    form.fields["decision"] = "accept"
    again = emulator.session().post(
        f"{emulator.entra}/{CONTOSO}/oauth2/v2.0/authorize", data=form.fields, timeout=5
    )

    assert again.status_code == 400
    assert len(emulator.callback.responses) == 1


def test_only_a_multi_tenant_app_can_be_used_without_a_tenant(emulator: Emulator) -> None:
    assert "AADSTS50194" in emulator.browser().open(authorize_url(emulator, "common")).text

    emulator.system.directory.change_app(CLIENT_ID, multi_tenant=True)
    browser = emulator.browser()
    browser.open(authorize_url(emulator, "organizations"))
    browser.choose(MALLORY)
    browser.accept()
    code = emulator.callback.responses[-1]["code"]

    assert refused(redeem(emulator, code, tenant=FABRIKAM))[2] == 700005


# Redeeming codes


def test_a_code_works_once(emulator: Emulator) -> None:
    code = a_code(emulator)

    assert redeem(emulator, code).status_code == 200
    assert refused(redeem(emulator, code)) == (400, "invalid_grant", 54005)


def test_a_code_lives_ten_minutes(emulator: Emulator) -> None:
    young, old = a_code(emulator), a_code(emulator)

    emulator.system.clock.advance(timedelta(minutes=9, seconds=50))
    assert redeem(emulator, young).status_code == 200
    emulator.system.clock.advance(timedelta(seconds=11))
    assert refused(redeem(emulator, old)) == (400, "invalid_grant", 70008)


def test_a_code_needs_the_verifier_of_its_challenge(emulator: Emulator) -> None:
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    pkce = {"code_challenge": challenge, "code_challenge_method": "S256"}

    assert refused(redeem(emulator, a_code(emulator, **pkce)))[2] == 501481
    assert refused(redeem(emulator, a_code(emulator, **pkce), code_verifier="w" * 43))[2] == 501481
    assert refused(redeem(emulator, a_code(emulator), code_verifier=verifier))[2] == 501481
    assert redeem(emulator, a_code(emulator, **pkce), code_verifier=verifier).status_code == 200


def test_a_code_belongs_to_its_redirect_address_and_tenant(emulator: Emulator) -> None:
    response = redeem(emulator, a_code(emulator), redirect_uri="https://localhost/other")
    assert response.json()["error_codes"] == [500112]

    assert refused(redeem(emulator, a_code(emulator), tenant=FABRIKAM))[2] == 700005


def test_the_nonce_is_returned_as_it_was_sent(emulator: Emulator) -> None:
    response = redeem(emulator, a_code(emulator, nonce="n-0S6"))

    assert claims_of(response.json()["id_token"])["nonce"] == "n-0S6"


def test_client_info_is_returned_only_on_request(emulator: Emulator) -> None:
    assert "client_info" not in redeem(emulator, a_code(emulator)).json()
    assert "client_info" in redeem(emulator, a_code(emulator), client_info="1").json()


def test_id_tokens_lie_on_demand(emulator: Emulator) -> None:
    emulator.system.behaviour.id_token = {
        "aud": "someone-else",
        "iss": "https://evil.example",
        "tid": FABRIKAM,
    }

    claims = claims_of(redeem(emulator, a_code(emulator)).json()["id_token"])

    assert (claims["aud"], claims["iss"], claims["tid"]) == ("someone-else", "https://evil.example", FABRIKAM)


def test_withheld_permissions_are_missing_from_the_response(emulator: Emulator) -> None:
    emulator.system.behaviour.withheld_scopes = frozenset({READ_WRITE})

    result = emulator.token_result(ADA, SEND, READ_WRITE)

    assert result["scope"].split() == ["email", "openid", "profile", SEND]


# Refreshing


def test_a_refresh_gives_a_new_token_and_the_old_one_continues_working(emulator: Emulator) -> None:
    first = redeem(emulator, a_code(emulator)).json()["refresh_token"]

    second = refresh(emulator, first).json()["refresh_token"]

    assert second != first
    assert refresh(emulator, first).status_code == 200
    assert refresh(emulator, second).status_code == 200


def test_each_refresh_token_lives_ninety_days_of_its_own(emulator: Emulator) -> None:
    first = redeem(emulator, a_code(emulator)).json()["refresh_token"]
    emulator.system.clock.advance(timedelta(days=60))
    second = refresh(emulator, first).json()["refresh_token"]

    emulator.system.clock.advance(timedelta(days=31))

    assert refused(refresh(emulator, first)) == (400, "invalid_grant", 700082)
    assert refresh(emulator, second).status_code == 200


def test_without_offline_access_there_is_no_refresh_token(emulator: Emulator) -> None:
    response = redeem(emulator, a_code(emulator, scope=f"openid {SEND}"))

    assert "refresh_token" not in response.json()


def test_a_refresh_beyond_the_grant_requires_consent(emulator: Emulator) -> None:
    token = redeem(emulator, a_code(emulator)).json()["refresh_token"]

    response = refresh(emulator, token, READ_WRITE)

    assert refused(response) == (400, "invalid_grant", 65001)
    assert response.json()["suberror"] == "consent_required"


def test_a_token_carries_everything_granted_on_its_resource(emulator: Emulator) -> None:
    emulator.system.grant_consent(REPORTS, SEND, "Mail.Send.Shared")

    response = redeem(emulator, a_code(emulator)).json()

    assert claims_of(response["access_token"])["scp"] == "Mail.Send Mail.Send.Shared"


def test_one_request_is_for_one_resource(emulator: Emulator) -> None:
    token = redeem(emulator, a_code(emulator)).json()["refresh_token"]

    response = refresh(emulator, token, f"{SEND} api://{CLIENT_ID}/settings")

    assert response.json()["error_codes"] == [28000]


def test_a_revoked_consent_and_a_revoked_session_end_refreshing(emulator: Emulator) -> None:
    token = redeem(emulator, a_code(emulator)).json()["refresh_token"]
    emulator.system.revoke_consent(REPORTS)
    assert refused(refresh(emulator, token))[1:] == ("invalid_grant", 65001)

    emulator.system.grant_consent(REPORTS, SEND)
    emulator.system.grants.revoke_sessions(emulator.system.user(REPORTS).object_id)
    assert refused(refresh(emulator, token))[1:] == ("invalid_grant", 50173)


@pytest.mark.parametrize("number", [700082, 50173, 50076, 53003, 70043, 50057])
def test_a_users_refreshes_fail_with_the_number_that_was_set(emulator: Emulator, number: int) -> None:
    token = redeem(emulator, a_code(emulator)).json()["refresh_token"]
    emulator.system.directory.change_user(REPORTS, refresh_problem=number)

    response = refresh(emulator, token)

    assert response.status_code == 400
    assert response.json()["error_codes"] == [number]
    assert response.json()["error"] in {"invalid_grant", "interaction_required"}


def test_an_error_has_all_of_entras_members(emulator: Emulator) -> None:
    document = refresh(emulator, "nonsense").json()

    assert {
        "error",
        "error_description",
        "error_codes",
        "suberror",
        "timestamp",
        "trace_id",
        "correlation_id",
    } <= document.keys()
    assert document["error_description"].startswith("AADSTS70000: ")
    assert document["correlation_id"] in document["error_description"]


# How the app proves itself


def test_a_wrong_secret_is_401_invalid_client(emulator: Emulator) -> None:
    response = token_request(
        emulator, grant_type="client_credentials", scope=APP_SCOPE, client_secret="wrong"
    )

    assert refused(response) == (401, "invalid_client", 7000215)


def test_an_expired_secret_and_none_at_all_have_numbers_of_their_own(emulator: Emulator) -> None:
    emulator.system.directory.change_app(
        CLIENT_ID, secrets=(Secret("old", datetime(2020, 1, 1, tzinfo=UTC)),)
    )

    old = token_request(emulator, grant_type="client_credentials", scope=APP_SCOPE, client_secret="old")
    none = token_request(emulator, grant_type="client_credentials", scope=APP_SCOPE, client_secret="")

    assert refused(old) == (401, "invalid_client", 7000222)
    assert refused(none) == (401, "invalid_client", 7000218)


def a_certificate() -> tuple[str, bytes]:
    """Make a private key and a certificate for it, both PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Inforiver Mailer")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM)


def test_msal_authenticates_only_with_a_registered_certificate(emulator: Emulator) -> None:
    private, certificate = a_certificate()
    other_private, _ = a_certificate()
    emulator.system.directory.change_app(CLIENT_ID, secrets=(), certificates=(certificate,))
    emulator.system.consents.grant_application(CLIENT_ID, CONTOSO, [SEND])
    public = certificate.decode()

    good = emulator.msal_app({"private_key": private, "public_certificate": public})
    bad = emulator.msal_app({"private_key": other_private, "public_certificate": public})

    assert good.acquire_token_for_client([APP_SCOPE])["access_token"]
    assert bad.acquire_token_for_client([APP_SCOPE])["error_codes"] == [700027]


def federated_token(emulator: Emulator, **claims: Any) -> str:
    named = {
        "iss": f"{emulator.entra}/{CONTOSO}/v2.0",
        "sub": "principal-1",
        "aud": "api://AzureADTokenExchange",
        "exp": datetime.now(UTC) + timedelta(hours=1),
        "idtyp": "app",
    }
    return emulator.system.tokens.sign(named | claims)


def test_msal_authenticates_with_a_managed_identity_token(emulator: Emulator) -> None:
    trusted = FederatedCredential(f"{emulator.entra}/{CONTOSO}/v2.0", "principal-1")
    emulator.system.directory.change_app(CLIENT_ID, secrets=(), federated=(trusted,))
    emulator.system.consents.grant_application(CLIENT_ID, CONTOSO, [SEND])

    app = emulator.msal_app({"client_assertion": lambda: federated_token(emulator)})

    assert app.acquire_token_for_client([APP_SCOPE])["access_token"]


@pytest.mark.parametrize(
    ("claims", "number"),
    [
        ({"iss": "https://elsewhere.example"}, 700211),
        ({"sub": "principal-2"}, 700213),
        ({"aud": "api://AzureADTokenExchangeUSGov"}, 700212),
        ({"idtyp": "user"}, 700229),
        ({"exp": datetime(2020, 1, 1, tzinfo=UTC)}, 700027),
    ],
)
def test_a_federated_token_that_is_not_exactly_right_is_refused(
    emulator: Emulator, claims: dict[str, Any], number: int
) -> None:
    trusted = FederatedCredential(f"{emulator.entra}/{CONTOSO}/v2.0", "principal-1")
    emulator.system.directory.change_app(CLIENT_ID, secrets=(), federated=(trusted,))
    app = emulator.msal_app({"client_assertion": lambda: federated_token(emulator, **claims)})

    assert app.acquire_token_for_client([APP_SCOPE])["error_codes"] == [number]


def test_a_federated_token_signed_by_a_stranger_is_refused(emulator: Emulator) -> None:
    trusted = FederatedCredential(f"{emulator.entra}/{CONTOSO}/v2.0", "principal-1")
    emulator.system.directory.change_app(CLIENT_ID, secrets=(), federated=(trusted,))
    claims = claims_of(federated_token(emulator))
    forged = jwt.encode(claims, emulator.system.tokens.unpublished_key.private, "RS256")

    refused_token = emulator.msal_app({"client_assertion": lambda: forged}).acquire_token_for_client(
        [APP_SCOPE]
    )
    assert refused_token["error_codes"] == [700027]

    emulator.system.consents.grant_application(CLIENT_ID, CONTOSO, [SEND])
    emulator.system.proof.trust(
        str(claims["iss"]), emulator.system.tokens.unpublished_key.private.public_key()
    )
    assert emulator.msal_app({"client_assertion": lambda: forged}).acquire_token_for_client([APP_SCOPE])[
        "access_token"
    ]


# The app by itself


def test_an_app_only_token_has_roles_and_no_scp(emulator: Emulator) -> None:
    emulator.system.consents.grant_application(CLIENT_ID, CONTOSO, [SEND])

    result = emulator.msal_app().acquire_token_for_client([APP_SCOPE])

    claims = claims_of(result["access_token"])
    assert claims["roles"] == [SEND]
    assert "scp" not in claims
    assert claims["tid"] == CONTOSO
    assert "refresh_token" not in result


def test_an_app_only_token_without_consent_has_no_roles(emulator: Emulator) -> None:
    result = emulator.msal_app().acquire_token_for_client([APP_SCOPE])

    assert "roles" not in claims_of(result["access_token"])


def test_client_credentials_require_the_default_scope_only(emulator: Emulator) -> None:
    named = token_request(
        emulator, grant_type="client_credentials", scope="https://graph.microsoft.com/Mail.Send"
    )
    several = token_request(emulator, grant_type="client_credentials", scope=f"{APP_SCOPE} openid")

    assert named.json()["error"] == "invalid_scope"
    assert several.json()["error"] == "invalid_scope"


def test_a_single_tenant_app_is_unknown_elsewhere(emulator: Emulator) -> None:
    response = token_request(emulator, FABRIKAM, grant_type="client_credentials", scope=APP_SCOPE)

    assert refused(response) == (400, "unauthorized_client", 700016)


# Admin consent


def admin_consent_response(emulator: Emulator, *, accept: bool = True, account: str = ADA) -> dict[str, str]:
    emulator.browser().consent(admin_consent_url(emulator), account, accept=accept)
    return emulator.callback.responses[-1]


def test_admin_consent_returns_true_and_no_code(emulator: Emulator) -> None:
    response = admin_consent_response(emulator)

    assert response == {"admin_consent": "True", "tenant": CONTOSO, "scope": APP_SCOPE, "state": "state-2"}
    assert claims_of(emulator.msal_app().acquire_token_for_client([APP_SCOPE])["access_token"])["roles"] == [
        SEND
    ]


def test_a_declined_admin_consent_can_return_true_too(emulator: Emulator) -> None:
    response = admin_consent_response(emulator, accept=False)

    assert response["admin_consent"] == "True"
    assert response["error"] == "consent_required"
    assert "AADSTS65004" in response["error_description"]
    assert emulator.system.consents.application(CLIENT_ID, CONTOSO) == []


def test_the_tenant_of_an_admin_consent_can_be_forged(emulator: Emulator) -> None:
    emulator.system.behaviour.forged_tenant = FABRIKAM

    assert admin_consent_response(emulator)["tenant"] == FABRIKAM


def test_admin_consent_is_for_admins_and_not_for_common(emulator: Emulator) -> None:
    browser = emulator.browser()
    browser.open(admin_consent_url(emulator))
    assert browser.choose(UMA).title == "Need admin approval"

    assert "AADSTS90002" in emulator.browser().open(admin_consent_url(emulator, "common")).text


# Faults, counts, clock


@pytest.mark.parametrize(
    ("button", "status", "error"),
    [
        ("refresh token expired", 400, "invalid_grant"),
        ("secret expired", 401, "invalid_client"),
        ("Entra busy", 503, "temporarily_unavailable"),
        ("Entra request loop", 400, "invalid_grant"),
    ],
)
def test_a_fault_hits_one_token_request(emulator: Emulator, button: str, status: int, error: str) -> None:
    token = redeem(emulator, a_code(emulator)).json()["refresh_token"]
    emulator.system.faults.add("token", button)

    response = refresh(emulator, token)

    assert (response.status_code, response.json()["error"]) == (status, error)
    assert refresh(emulator, token).status_code == 200


def app_token(emulator: Emulator) -> requests.Response:
    return token_request(emulator, grant_type="client_credentials", scope=APP_SCOPE)


def test_client_credentials_are_throttled_in_plain_text(emulator: Emulator) -> None:
    emulator.system.behaviour.token_requests_a_minute = 1

    responses = [app_token(emulator) for _ in range(3)]

    assert [response.status_code for response in responses] == [200, 429, 429]
    assert (responses[1].text, responses[1].headers["Retry-After"]) == ("Too Many Requests", "60")
    emulator.system.clock.advance(timedelta(seconds=59))
    assert app_token(emulator).status_code == 429
    emulator.system.clock.advance(timedelta(seconds=60))
    assert app_token(emulator).status_code == 200


def test_refreshes_of_one_account_are_throttled_as_a_request_loop(emulator: Emulator) -> None:
    token = redeem(emulator, a_code(emulator)).json()["refresh_token"]
    emulator.system.behaviour.token_requests_a_minute = 1

    responses = [refresh(emulator, token).json() for _ in range(2)]

    assert (responses[1]["error"], responses[1]["error_codes"]) == ("invalid_grant", [50196])


def test_token_and_discovery_fail_apart(emulator: Emulator) -> None:
    emulator.system.faults.add("discovery", Effect(503, retry_after="7"), times=0)
    configuration = f"{emulator.entra}/{CONTOSO}/v2.0/.well-known/openid-configuration"

    assert redeem(emulator, a_code(emulator)).status_code == 200
    response = emulator.session().get(configuration, timeout=5)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "7")


def test_a_fault_can_be_meant_for_refreshes_of_one_mailbox(emulator: Emulator) -> None:
    ours = redeem(emulator, a_code(emulator)).json()["refresh_token"]
    theirs = redeem(emulator, a_code(emulator, UMA)).json()["refresh_token"]
    emulator.system.faults.add("token.refresh_token", "needs MFA", mailbox=REPORTS)

    assert refresh(emulator, theirs).status_code == 200
    assert refresh(emulator, ours).json()["error_codes"] == [50076]


def test_a_token_request_can_be_cut_off(emulator: Emulator) -> None:
    emulator.system.faults.add("token", "reset")

    with pytest.raises(requests.ConnectionError):
        token_request(emulator, grant_type="client_credentials", scope=APP_SCOPE)


def test_a_slow_token_endpoint_outlasts_a_timeout(emulator: Emulator) -> None:
    emulator.system.faults.add("token", Effect(delay=3.0))

    with pytest.raises(requests.ReadTimeout):
        emulator.session().post(
            f"{emulator.entra}/{CONTOSO}/oauth2/v2.0/token", data={"client_id": CLIENT_ID}, timeout=0.3
        )


def test_requests_are_counted_and_no_secret_is_in_the_log(emulator: Emulator) -> None:
    token = redeem(emulator, a_code(emulator)).json()["refresh_token"]

    threads = [threading.Thread(target=refresh, args=(emulator, token)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert emulator.system.requests.count("token.refresh_token") == 5
    assert emulator.system.requests.count("token.authorization_code") == 1
    log = repr(emulator.system.requests.all())
    assert CLIENT_SECRET not in log
    assert not [secret for secret in emulator.system.tokens.issued if secret in log]


# Tokens for the app's own API


def api_refusal(emulator: Emulator, **overrides: Any) -> type[Exception] | None:
    token = emulator.system.api_token(ADA, **overrides)
    keys = emulator.session().get(f"{emulator.entra}/{CONTOSO}/discovery/v2.0/keys", timeout=5).json()
    try:
        kid = jwt.get_unverified_header(token)["kid"]
        key = jwt.PyJWKSet.from_dict(keys)[kid].key
        jwt.decode(
            token, key, algorithms=["RS256"], audience=CLIENT_ID, issuer=f"{emulator.entra}/{CONTOSO}/v2.0"
        )
    except (jwt.InvalidTokenError, KeyError) as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("overrides", "refusal"),
    [
        ({}, None),
        ({"aud": "other"}, jwt.InvalidAudienceError),
        ({"iss": "https://evil.example"}, jwt.InvalidIssuerError),
        ({"lifetime": timedelta(minutes=-5)}, jwt.ExpiredSignatureError),
        ({"nbf": 4102444800}, jwt.ImmatureSignatureError),
        ({"kid": "unknown"}, KeyError),
        ({"alg": "none"}, jwt.InvalidAlgorithmError),
        ({"alg": "HS256"}, jwt.InvalidAlgorithmError),
        ({"forged": True}, jwt.InvalidSignatureError),
    ],
)
def test_api_tokens_are_right_but_for_what_is_overridden(
    emulator: Emulator, overrides: dict[str, Any], refusal: type[Exception] | None
) -> None:
    assert api_refusal(emulator, **overrides) is refusal


def test_api_tokens_carry_the_callers_roles(emulator: Emulator) -> None:
    ada, uma = claims_of(emulator.system.api_token(ADA)), claims_of(emulator.system.api_token(UMA))

    assert (ada["roles"], ada["scp"], ada["tid"]) == (["Workspace.Admin"], "settings", CONTOSO)
    assert "roles" not in uma
    assert claims_of(emulator.system.api_token(ADA, scp=None, idtyp="app")).get("scp") is None


# Control


def test_another_process_presses_the_same_buttons(emulator: Emulator) -> None:
    session = emulator.session()
    control = f"{emulator.entra}/_control"
    session.post(f"{control}/consents", json={"grant": REPORTS, "scopes": [SEND]}, timeout=5)
    session.post(f"{control}/clock", json={"advance": 3600}, timeout=5)
    session.post(
        f"{control}/faults", json={"operation": "token", "effect": {"aadsts": 50173}, "times": 2}, timeout=5
    )
    token = session.post(f"{control}/api-token", json={"address": ADA, "lifetime": 60}, timeout=5).json()

    assert emulator.browser().consent(authorize_url(emulator), REPORTS).title == "Back"
    assert emulator.system.clock.offset == timedelta(hours=1)
    assert len(emulator.system.faults.waiting()) == 1
    assert claims_of(token["access_token"])["preferred_username"] == ADA
    assert (
        session.get(f"{control}/requests", params={"operation": "authorize"}, timeout=5).json()["count"] == 1
    )
    assert session.post(f"{control}/faults", json={"operation": "token"}, timeout=5).status_code == 400


def test_another_process_changes_people_rights_and_switches(emulator: Emulator) -> None:
    system = emulator.system
    changes: list[tuple[str, dict[str, Any]]] = [
        ("users", {"address": UMA, "message_limit": 1000, "app_roles": ["Workspace.Admin"]}),
        ("apps", {"clientId": CLIENT_ID, "redirectUris": ["https://localhost/new"]}),
        ("rights", {"grant": "send_as", "on": FINANCE, "to": UMA}),
        ("behaviour", {"latency": 0.25, "session_lifetime": 60, "withheld_scopes": [READ_WRITE]}),
        ("consents", {"grant": "contoso.com", "scopes": [SEND], "application": True}),
        ("sessions", {"address": UMA}),
    ]
    for path, body in changes:
        response = emulator.session().post(f"{emulator.graph}/_control/{path}", json=body, timeout=5)
        assert response.status_code == 200, response.text

    assert (system.user(UMA).message_limit, system.user(UMA).app_roles) == (
        1000,
        frozenset({"Workspace.Admin"}),
    )
    assert system.directory.has_right("send_as", FINANCE, UMA)
    assert (system.behaviour.latency, system.behaviour.session_lifetime) == (0.25, timedelta(minutes=1))
    assert system.behaviour.withheld_scopes == {READ_WRITE}
    assert system.consents.application(CLIENT_ID, CONTOSO) == [SEND]
    app = system.directory.app(CLIENT_ID)
    assert app is not None
    assert app.redirect_uris == ("https://localhost/new",)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("users", {"address": "nobody"}),
        ("behaviour", {"lag": 1}),
        ("clock", {}),
        ("api-token", {"address": "x"}),
    ],
)
def test_a_control_call_that_makes_no_sense_is_400(
    emulator: Emulator, path: str, body: dict[str, Any]
) -> None:
    assert (
        emulator.session().post(f"{emulator.entra}/_control/{path}", json=body, timeout=5).status_code == 400
    )


def test_a_posted_callback_leaves_no_code_in_the_address(emulator: Emulator) -> None:
    browser = emulator.browser(posts_by_itself=False)
    browser.consent(authorize_url(emulator, response_mode="form_post"), REPORTS)

    assert browser.page.submits_itself
    assert browser.page.forms[0].action == emulator.redirect_uri
    assert "code" not in parse_qs(urlsplit(browser.page.url).query)
