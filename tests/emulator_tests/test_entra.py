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

from tests.emulator_tests.conftest import Stand
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


def token_request(stand: Stand, tenant: str = CONTOSO, **form: str) -> requests.Response:
    named = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET} | form
    kept = {name: value for name, value in named.items() if value}
    return stand.session().post(f"{stand.entra}/{tenant}/oauth2/v2.0/token", data=kept, timeout=10)


def authorize_url(stand: Stand, tenant: str = CONTOSO, **query: str) -> str:
    named = {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": stand.redirect_uri,
        "scope": f"openid profile offline_access {SEND}",
        "state": "state-1",
    }
    return f"{stand.entra}/{tenant}/oauth2/v2.0/authorize?{urlencode(named | query)}"


def admin_consent_url(stand: Stand, tenant: str = CONTOSO, **query: str) -> str:
    named = {
        "client_id": CLIENT_ID,
        "redirect_uri": stand.redirect_uri,
        "scope": APP_SCOPE,
        "state": "state-2",
    }
    return f"{stand.entra}/{tenant}/v2.0/adminconsent?{urlencode(named | query)}"


def a_code(stand: Stand, account: str = REPORTS, **query: str) -> str:
    stand.browser().consent(authorize_url(stand, **query), account)
    return stand.callback.answers[-1]["code"]


def redeem(stand: Stand, code: str, tenant: str = CONTOSO, **form: str) -> requests.Response:
    named = {"grant_type": "authorization_code", "code": code, "redirect_uri": stand.redirect_uri}
    return token_request(stand, tenant, **(named | form))


def refresh(stand: Stand, token: str, scope: str = SEND, **form: str) -> requests.Response:
    return token_request(stand, grant_type="refresh_token", refresh_token=token, scope=scope, **form)


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def refused(answer: requests.Response) -> tuple[int, str, int]:
    document = answer.json()
    return answer.status_code, document["error"], document["error_codes"][0]


# Discovery and keys


def test_msal_redeems_a_code_and_reads_who_signed_in(stand: Stand) -> None:
    result = stand.token_result(REPORTS, SEND)

    user = stand.system.user(REPORTS)
    assert result["scope"].split() == ["email", "openid", "profile", SEND]
    assert result["id_token_claims"]["oid"] == user.object_id
    assert result["id_token_claims"]["tid"] == CONTOSO
    assert result["id_token_claims"]["aud"] == CLIENT_ID
    assert result["id_token_claims"]["iss"] == f"{stand.entra}/{CONTOSO}/v2.0"
    assert result["refresh_token"]


def test_msal_names_the_account_by_client_info(stand: Stand) -> None:
    app = stand.msal_app()
    flow, _ = stand.sign_in(REPORTS, SEND)

    app.acquire_token_by_auth_code_flow(flow, stand.callback.answers[-1])

    user = stand.system.user(REPORTS)
    assert [a["home_account_id"] for a in app.get_accounts()] == [f"{user.object_id}.{CONTOSO}"]
    assert [a["username"] for a in app.get_accounts()] == [REPORTS]


def test_msal_finds_its_token_again_whichever_way_the_scope_is_spelt(stand: Stand) -> None:
    for scope in (SEND, f"https://graph.microsoft.com/{SEND}", f"{stand.graph}/{SEND}"):
        app = stand.msal_app()
        flow = app.initiate_auth_code_flow(
            [scope], redirect_uri=stand.redirect_uri, response_mode="form_post"
        )
        stand.browser().consent(flow["auth_uri"], REPORTS)
        app.acquire_token_by_auth_code_flow(flow, stand.callback.answers[-1])
        asked = stand.system.requests.count("token")

        found = app.acquire_token_silent_with_error([scope], app.get_accounts()[0])

        assert found["access_token"]
        assert stand.system.requests.count("token") == asked


def test_a_tenant_is_known_by_its_id_and_its_domain(stand: Stand) -> None:
    for name in (CONTOSO, "contoso.com"):
        answer = stand.session().get(f"{stand.entra}/{name}/v2.0/.well-known/openid-configuration", timeout=5)

        assert answer.json()["issuer"] == f"{stand.entra}/{CONTOSO}/v2.0"


def test_an_unknown_tenant_has_no_configuration(stand: Stand) -> None:
    answer = stand.session().get(f"{stand.entra}/nobody.com/v2.0/.well-known/openid-configuration", timeout=5)

    assert refused(answer) == (400, "invalid_request", 90002)


def test_tokens_are_signed_with_a_key_that_the_tenant_publishes(stand: Stand) -> None:
    result = stand.token_result(REPORTS, SEND)
    keys = jwt.PyJWKSet.from_dict(
        stand.session().get(f"{stand.entra}/{CONTOSO}/discovery/v2.0/keys", timeout=5).json()
    )

    for name, audience in (("id_token", CLIENT_ID), ("access_token", "https://graph.microsoft.com")):
        kid = jwt.get_unverified_header(result[name])["kid"]
        jwt.decode(result[name], keys[kid].key, algorithms=["RS256"], audience=audience)


def test_there_is_no_revocation_endpoint(stand: Stand) -> None:
    configuration = stand.session().get(
        f"{stand.entra}/{CONTOSO}/v2.0/.well-known/openid-configuration", timeout=5
    )
    answer = stand.session().post(f"{stand.entra}/{CONTOSO}/oauth2/v2.0/revoke", timeout=5)

    assert "revocation_endpoint" not in configuration.json()
    assert answer.status_code == 404


# The pages


def test_pages_cut_the_popup_off_and_refuse_to_be_framed(stand: Stand) -> None:
    browser = stand.browser()

    for page in (browser.open(authorize_url(stand)), browser.choose(REPORTS)):
        assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert page.headers["X-Frame-Options"] == "DENY"


def test_consent_is_requested_once(stand: Stand) -> None:
    browser = stand.browser()
    browser.open(authorize_url(stand))
    assert browser.choose(REPORTS).title == "Permissions requested"
    browser.accept()

    browser.open(authorize_url(stand, prompt="select_account"))

    assert browser.choose(REPORTS).title == "Back"


def test_only_new_permissions_are_requested(stand: Stand) -> None:
    stand.system.grant_consent(ADA, SEND)
    browser = stand.browser()
    browser.open(authorize_url(stand, scope=f"{SEND} {READ_WRITE}"))

    page = browser.choose(ADA)

    assert f"<code>{READ_WRITE}</code>" in page.text
    assert f"<code>{SEND}</code>" not in page.text


def test_prompt_consent_requests_everything_again(stand: Stand) -> None:
    stand.system.grant_consent(REPORTS, SEND)
    browser = stand.browser()
    browser.open(authorize_url(stand, prompt="consent"))

    page = browser.choose(REPORTS)

    assert f"<code>{SEND}</code>" in page.text


def test_a_signed_in_person_sees_no_account_picker_unless_requested(stand: Stand) -> None:
    browser = stand.browser()
    browser.consent(authorize_url(stand), REPORTS)

    assert browser.open(authorize_url(stand)).title == "Back"
    assert browser.open(authorize_url(stand, prompt="select_account")).title == "Pick an account"


def test_the_hinted_account_is_filled_in_and_comes_first(stand: Stand) -> None:
    page = stand.browser().open(authorize_url(stand, prompt="login", login_hint=UMA))

    assert page.forms[0].buttons[0].value == UMA
    assert page.forms[1].fields["account"] == UMA


def test_an_account_can_not_be_hinted_where_one_must_be_selected(stand: Stand) -> None:
    page = stand.browser().open(authorize_url(stand, prompt="select_account", login_hint=UMA))

    assert "AADSTS90023" in page.text


def test_prompt_none_never_shows_a_page(stand: Stand) -> None:
    browser = stand.browser()

    browser.open(authorize_url(stand, prompt="none"))
    assert stand.callback.answers[-1]["error"] == "login_required"

    browser.consent(authorize_url(stand), REPORTS)
    browser.open(authorize_url(stand, prompt="none", scope=f"{SEND} Mail.Send.Shared"))
    assert stand.callback.answers[-1]["error"] == "interaction_required"

    browser.open(authorize_url(stand, prompt="none"))
    assert "code" in stand.callback.answers[-1]


@pytest.mark.parametrize("described", [True, False])
def test_cancel_returns_access_denied_with_or_without_description(stand: Stand, *, described: bool) -> None:
    stand.system.behaviour.decline_description = described

    stand.browser().consent(authorize_url(stand, response_mode="form_post"), REPORTS, accept=False)

    answer = stand.callback.answers[-1]
    assert (answer["error"], answer["error_subcode"], answer["state"]) == (
        "access_denied",
        "cancel",
        "state-1",
    )
    assert ("error_description" in answer) is described
    assert "code" not in answer


def test_a_query_answer_is_a_redirect_and_a_posted_one_is_a_form(stand: Stand) -> None:
    stand.browser().consent(authorize_url(stand, response_mode="query"), REPORTS)
    stand.browser().consent(authorize_url(stand, response_mode="form_post"), REPORTS)

    assert [method for method, _ in stand.callback.requests] == ["GET", "POST"]
    assert [answer["state"] for answer in stand.callback.answers] == ["state-1", "state-1"]


def test_a_user_who_requests_read_access_needs_an_admin_without_a_callback(stand: Stand) -> None:
    browser = stand.browser()
    browser.open(authorize_url(stand, scope=f"{SEND} {READ_WRITE}"))

    assert browser.choose(UMA).title == "Need admin approval"
    with pytest.raises(LookupError):
        browser.cancel()
    assert browser.press("answer", "request").title == "Request sent"
    assert stand.callback.answers == []


def test_an_approval_page_can_have_a_return_link_that_grants_nothing(stand: Stand) -> None:
    stand.system.directory.change_tenant(CONTOSO, approval_can_return=True)
    browser = stand.browser()
    browser.open(authorize_url(stand, scope=READ_WRITE))
    browser.choose(UMA)

    browser.cancel()

    answer = stand.callback.answers[-1]
    assert (answer["error"], answer["error_subcode"], answer["state"]) == (
        "access_denied",
        "cancel",
        "state-1",
    )
    assert "AADSTS" not in answer.get("error_description", "")


def test_no_user_can_press_accept_on_the_approval_page(stand: Stand) -> None:
    browser = stand.browser()
    browser.open(authorize_url(stand, scope=READ_WRITE))
    form = browser.choose(UMA).forms[0]
    form.fields["answer"] = "accept"

    assert browser.submit(form).title == "Need admin approval"
    assert stand.callback.answers == []


def test_mail_send_needs_no_admin_unless_the_tenant_requires_one(stand: Stand) -> None:
    browser = stand.browser()
    browser.open(authorize_url(stand))
    assert browser.choose(UMA).title == "Permissions requested"

    stand.system.directory.change_tenant(CONTOSO, user_consent="nobody")
    browser.open(authorize_url(stand, prompt="select_account"))
    assert browser.choose(UMA).title == "Need admin approval"


def test_after_tenant_wide_consent_users_see_no_consent_page(stand: Stand) -> None:
    admin = stand.browser()
    admin.open(authorize_url(stand, scope=READ_WRITE))
    admin.choose(ADA)
    admin.accept(for_everybody=True)

    browser = stand.browser()
    browser.open(authorize_url(stand, scope=READ_WRITE))

    assert browser.choose(UMA).title == "Back"


def test_prompt_consent_needs_an_admin_even_after_tenant_wide_consent(stand: Stand) -> None:
    stand.system.grant_consent("*@contoso.com", READ_WRITE)
    browser = stand.browser()
    browser.open(authorize_url(stand, scope=READ_WRITE, prompt="consent"))

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
    stand: Stand, query: dict[str, str], number: str
) -> None:
    page = stand.browser().open(authorize_url(stand, **query))

    assert page.status == 400
    assert page.url.startswith(stand.entra)
    assert number in page.text
    assert stand.callback.answers == []


def test_an_app_that_is_disabled_gets_no_sign_in(stand: Stand) -> None:
    stand.system.directory.change_app(CLIENT_ID, enabled=False)

    assert "AADSTS7000112" in stand.browser().open(authorize_url(stand)).text
    assert "AADSTS7000112" in stand.browser().open(admin_consent_url(stand)).text


def test_a_page_is_answered_only_by_the_browser_that_it_was_sent_to(stand: Stand) -> None:
    browser = stand.browser()
    form = browser.open(authorize_url(stand)).forms[0]

    fields = form.fields | {"account": ADA}
    page = stand.browser().post(f"{stand.entra}/{CONTOSO}/oauth2/v2.0/authorize", fields)

    assert "AADSTS50089" in page.text
    assert browser.choose(REPORTS).title == "Permissions requested"


def test_a_page_that_was_left_for_half_an_hour_can_not_be_answered(stand: Stand) -> None:
    browser = stand.browser()
    browser.open(authorize_url(stand))
    stand.system.clock.advance(timedelta(minutes=30))

    assert "AADSTS50089" in browser.choose(REPORTS).text


def test_a_single_tenant_app_redeems_nothing_without_a_tenant(stand: Stand) -> None:
    code = a_code(stand)

    assert refused(redeem(stand, code, "organizations")) == (400, "invalid_request", 50194)
    assert redeem(stand, code).ok


def test_the_default_scope_cannot_be_combined(stand: Stand) -> None:
    token = redeem(stand, a_code(stand)).json()["refresh_token"]

    assert refused(refresh(stand, token, f"{APP_SCOPE} {SEND}")) == (400, "invalid_scope", 70011)
    mixed = stand.browser().open(admin_consent_url(stand, scope=f"{APP_SCOPE} {SEND}"))
    assert "AADSTS70011" in mixed.text


def test_a_grant_shows_in_tokens_after_the_lag(stand: Stand) -> None:
    stand.system.behaviour.consent_lag = 60
    first = redeem(stand, a_code(stand)).json()
    assert SEND not in first["scope"].split()
    assert refused(refresh(stand, first["refresh_token"])) == (400, "invalid_grant", 65001)
    stand.system.consents.grant_application(CLIENT_ID, CONTOSO, [SEND])
    early = token_request(stand, grant_type="client_credentials", scope=APP_SCOPE).json()
    assert "roles" not in claims_of(early["access_token"])

    stand.system.clock.advance(timedelta(seconds=60))

    assert SEND in refresh(stand, first["refresh_token"]).json()["scope"].split()
    late = token_request(stand, grant_type="client_credentials", scope=APP_SCOPE).json()
    assert claims_of(late["access_token"])["roles"] == [SEND]


def test_the_token_endpoint_knows_a_new_app_after_the_lag(stand: Stand) -> None:
    stand.system.behaviour.app_lag = 60
    code = a_code(stand)
    assert refused(redeem(stand, code)) == (400, "unauthorized_client", 700016)

    stand.system.clock.advance(timedelta(seconds=60))

    assert redeem(stand, code).ok


def test_stale_servers_refuse_every_second_refresh_with_65001_or_700016(stand: Stand) -> None:
    stand.system.behaviour.stale_for = 60
    token = redeem(stand, a_code(stand)).json()["refresh_token"]

    answers = [refresh(stand, token).json() for _ in range(4)]

    assert [answer.get("error_codes") for answer in answers] == [[65001], None, [700016], None]
    stand.system.clock.advance(timedelta(seconds=60))
    assert all(refresh(stand, token).ok for _ in range(4))


def test_servers_that_are_behind_issue_app_tokens_with_the_roles_of_before(stand: Stand) -> None:
    stand.system.behaviour.stale_for = 60
    stand.system.consents.grant_application(CLIENT_ID, CONTOSO, [READ_WRITE])
    stand.system.clock.advance(timedelta(seconds=60))
    stand.system.consents.grant_application(CLIENT_ID, CONTOSO, [SEND])

    tokens = [app_token(stand).json()["access_token"] for _ in range(2)]

    assert [claims_of(token)["roles"] for token in tokens] == [[READ_WRITE], [READ_WRITE, SEND]]


def test_a_sign_in_name_an_address_and_an_alias_are_three_names(stand: Stand) -> None:
    stand.system.directory.change_user(
        UMA, sign_in_name="u123@contoso.com", aliases=frozenset({"u@contoso.com"})
    )
    by_address = stand.browser()
    by_address.open(authorize_url(stand))
    assert "AADSTS50034" in by_address.choose(UMA).text

    claims = stand.token_result("u123@contoso.com")["id_token_claims"]

    assert (claims["preferred_username"], claims["email"]) == ("u123@contoso.com", UMA)
    assert claims["oid"] == stand.system.user(UMA).object_id


def test_the_address_is_in_tokens_only_if_the_registration_requests_it(stand: Stand) -> None:
    stand.system.directory.change_app(CLIENT_ID, email_claim=False)

    assert "email" not in stand.token_result(ADA)["id_token_claims"]


def test_a_guest_signs_in_under_the_name_of_its_home(stand: Stand) -> None:
    guest = User(
        "0b1ec700-0000-4000-8000-000000000099",
        CONTOSO,
        MALLORY,
        "Mallory (guest)",
        sign_in_name="mallory_fabrikam.com#EXT#@contoso.com",
        is_guest=True,
        has_mailbox=False,
    )
    stand.system.directory.add(guest)
    stand.system.directory.change_app(CLIENT_ID, email_claim=False)

    claims = stand.token_result(MALLORY)["id_token_claims"]

    assert (claims["tid"], claims["oid"]) == (CONTOSO, guest.object_id)
    assert (claims["preferred_username"], claims["email"]) == (MALLORY, MALLORY)
    assert stand.system.user(MALLORY).tenant_id == FABRIKAM


def test_a_user_who_is_renamed_is_found_under_the_new_names_only(stand: Stand) -> None:
    before = stand.system.user(UMA)
    stand.system.directory.change_user(UMA, address="u.young@contoso.com")

    assert stand.system.directory.user(UMA) is None
    assert stand.system.user("u.young@contoso.com").object_id == before.object_id


def test_a_redirect_address_must_be_equal_not_similar(stand: Stand) -> None:
    for similar in (f"{stand.redirect_uri}/", f"{stand.redirect_uri}?x=1", stand.redirect_uri.upper()):
        page = stand.browser().open(authorize_url(stand, redirect_uri=similar))

        assert "AADSTS50011" in page.text


def test_no_user_of_another_tenant_can_sign_in(stand: Stand) -> None:
    browser = stand.browser()
    browser.open(authorize_url(stand))

    assert "AADSTS50020" in browser.choose(MALLORY).text
    assert "AADSTS700016" in stand.browser().open(authorize_url(stand, FABRIKAM)).text


@pytest.mark.parametrize(
    ("change", "number"),
    [({"enabled": False}, "AADSTS50057"), ({"sign_in_problem": 53003}, "AADSTS53003")],
)
def test_who_may_not_sign_in_reads_why_on_entras_page(
    stand: Stand, change: dict[str, Any], number: str
) -> None:
    stand.system.directory.change_user(UMA, **change)
    browser = stand.browser()
    browser.open(authorize_url(stand))

    assert number in browser.choose(UMA).text
    assert stand.callback.answers == []


def test_a_permission_that_does_not_exist_is_an_error_in_the_callback(stand: Stand) -> None:
    stand.browser().open(authorize_url(stand, scope="Mail.Sned"))

    assert stand.callback.answers[-1]["error"] == "invalid_client"
    assert "AADSTS650053" in stand.callback.answers[-1]["error_description"]


def test_a_page_answered_twice_does_not_answer_the_app_twice(stand: Stand) -> None:
    browser = stand.browser()
    browser.open(authorize_url(stand))
    form = browser.choose(REPORTS).forms[0]
    browser.accept()

    form.fields["answer"] = "accept"
    again = stand.session().post(
        f"{stand.entra}/{CONTOSO}/oauth2/v2.0/authorize", data=form.fields, timeout=5
    )

    assert again.status_code == 400
    assert len(stand.callback.answers) == 1


def test_only_a_multi_tenant_app_can_be_used_without_a_tenant(stand: Stand) -> None:
    assert "AADSTS50194" in stand.browser().open(authorize_url(stand, "common")).text

    stand.system.directory.change_app(CLIENT_ID, multi_tenant=True)
    browser = stand.browser()
    browser.open(authorize_url(stand, "organizations"))
    browser.choose(MALLORY)
    browser.accept()
    code = stand.callback.answers[-1]["code"]

    assert refused(redeem(stand, code, tenant=FABRIKAM))[2] == 700005


# Redeeming codes


def test_a_code_works_once(stand: Stand) -> None:
    code = a_code(stand)

    assert redeem(stand, code).status_code == 200
    assert refused(redeem(stand, code)) == (400, "invalid_grant", 54005)


def test_a_code_lives_ten_minutes(stand: Stand) -> None:
    young, old = a_code(stand), a_code(stand)

    stand.system.clock.advance(timedelta(minutes=9, seconds=50))
    assert redeem(stand, young).status_code == 200
    stand.system.clock.advance(timedelta(seconds=11))
    assert refused(redeem(stand, old)) == (400, "invalid_grant", 70008)


def test_a_code_needs_the_verifier_of_its_challenge(stand: Stand) -> None:
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    pkce = {"code_challenge": challenge, "code_challenge_method": "S256"}

    assert refused(redeem(stand, a_code(stand, **pkce)))[2] == 501481
    assert refused(redeem(stand, a_code(stand, **pkce), code_verifier="w" * 43))[2] == 501481
    assert refused(redeem(stand, a_code(stand), code_verifier=verifier))[2] == 501481
    assert redeem(stand, a_code(stand, **pkce), code_verifier=verifier).status_code == 200


def test_a_code_belongs_to_its_redirect_address_and_tenant(stand: Stand) -> None:
    answer = redeem(stand, a_code(stand), redirect_uri="https://localhost/other")
    assert answer.json()["error_codes"] == [500112]

    assert refused(redeem(stand, a_code(stand), tenant=FABRIKAM))[2] == 700005


def test_the_nonce_is_returned_as_it_was_sent(stand: Stand) -> None:
    answer = redeem(stand, a_code(stand, nonce="n-0S6"))

    assert claims_of(answer.json()["id_token"])["nonce"] == "n-0S6"


def test_client_info_is_returned_only_on_request(stand: Stand) -> None:
    assert "client_info" not in redeem(stand, a_code(stand)).json()
    assert "client_info" in redeem(stand, a_code(stand), client_info="1").json()


def test_id_tokens_lie_on_demand(stand: Stand) -> None:
    stand.system.behaviour.id_token = {"aud": "someone-else", "iss": "https://evil.example", "tid": FABRIKAM}

    claims = claims_of(redeem(stand, a_code(stand)).json()["id_token"])

    assert (claims["aud"], claims["iss"], claims["tid"]) == ("someone-else", "https://evil.example", FABRIKAM)


def test_withheld_permissions_are_missing_from_the_answer(stand: Stand) -> None:
    stand.system.behaviour.withheld_scopes = frozenset({READ_WRITE})

    result = stand.token_result(ADA, SEND, READ_WRITE)

    assert result["scope"].split() == ["email", "openid", "profile", SEND]


# Refreshing


def test_a_refresh_gives_a_new_token_and_the_old_one_continues_working(stand: Stand) -> None:
    first = redeem(stand, a_code(stand)).json()["refresh_token"]

    second = refresh(stand, first).json()["refresh_token"]

    assert second != first
    assert refresh(stand, first).status_code == 200
    assert refresh(stand, second).status_code == 200


def test_each_refresh_token_lives_ninety_days_of_its_own(stand: Stand) -> None:
    first = redeem(stand, a_code(stand)).json()["refresh_token"]
    stand.system.clock.advance(timedelta(days=60))
    second = refresh(stand, first).json()["refresh_token"]

    stand.system.clock.advance(timedelta(days=31))

    assert refused(refresh(stand, first)) == (400, "invalid_grant", 700082)
    assert refresh(stand, second).status_code == 200


def test_without_offline_access_there_is_no_refresh_token(stand: Stand) -> None:
    answer = redeem(stand, a_code(stand, scope=f"openid {SEND}"))

    assert "refresh_token" not in answer.json()


def test_a_refresh_beyond_the_grant_requires_consent(stand: Stand) -> None:
    token = redeem(stand, a_code(stand)).json()["refresh_token"]

    answer = refresh(stand, token, READ_WRITE)

    assert refused(answer) == (400, "invalid_grant", 65001)
    assert answer.json()["suberror"] == "consent_required"


def test_a_token_carries_everything_granted_on_its_resource(stand: Stand) -> None:
    stand.system.grant_consent(REPORTS, SEND, "Mail.Send.Shared")

    answer = redeem(stand, a_code(stand)).json()

    assert claims_of(answer["access_token"])["scp"] == "Mail.Send Mail.Send.Shared"


def test_one_request_is_for_one_resource(stand: Stand) -> None:
    token = redeem(stand, a_code(stand)).json()["refresh_token"]

    answer = refresh(stand, token, f"{SEND} api://{CLIENT_ID}/settings")

    assert answer.json()["error_codes"] == [28000]


def test_a_revoked_consent_and_a_revoked_session_end_refreshing(stand: Stand) -> None:
    token = redeem(stand, a_code(stand)).json()["refresh_token"]
    stand.system.revoke_consent(REPORTS)
    assert refused(refresh(stand, token))[1:] == ("invalid_grant", 65001)

    stand.system.grant_consent(REPORTS, SEND)
    stand.system.grants.revoke_sessions(stand.system.user(REPORTS).object_id)
    assert refused(refresh(stand, token))[1:] == ("invalid_grant", 50173)


@pytest.mark.parametrize("number", [700082, 50173, 50076, 53003, 70043, 50057])
def test_a_users_refreshes_fail_with_the_number_that_was_set(stand: Stand, number: int) -> None:
    token = redeem(stand, a_code(stand)).json()["refresh_token"]
    stand.system.directory.change_user(REPORTS, refresh_problem=number)

    answer = refresh(stand, token)

    assert answer.status_code == 400
    assert answer.json()["error_codes"] == [number]
    assert answer.json()["error"] in {"invalid_grant", "interaction_required"}


def test_an_error_has_all_of_entras_members(stand: Stand) -> None:
    document = refresh(stand, "nonsense").json()

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


def test_a_wrong_secret_is_401_invalid_client(stand: Stand) -> None:
    answer = token_request(stand, grant_type="client_credentials", scope=APP_SCOPE, client_secret="wrong")

    assert refused(answer) == (401, "invalid_client", 7000215)


def test_an_expired_secret_and_none_at_all_have_numbers_of_their_own(stand: Stand) -> None:
    stand.system.directory.change_app(CLIENT_ID, secrets=(Secret("old", datetime(2020, 1, 1, tzinfo=UTC)),))

    old = token_request(stand, grant_type="client_credentials", scope=APP_SCOPE, client_secret="old")
    none = token_request(stand, grant_type="client_credentials", scope=APP_SCOPE, client_secret="")

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


def test_msal_authenticates_only_with_a_registered_certificate(stand: Stand) -> None:
    private, certificate = a_certificate()
    other_private, _ = a_certificate()
    stand.system.directory.change_app(CLIENT_ID, secrets=(), certificates=(certificate,))
    stand.system.consents.grant_application(CLIENT_ID, CONTOSO, [SEND])
    public = certificate.decode()

    good = stand.msal_app({"private_key": private, "public_certificate": public})
    bad = stand.msal_app({"private_key": other_private, "public_certificate": public})

    assert good.acquire_token_for_client([APP_SCOPE])["access_token"]
    assert bad.acquire_token_for_client([APP_SCOPE])["error_codes"] == [700027]


def federated_token(stand: Stand, **claims: Any) -> str:
    named = {
        "iss": f"{stand.entra}/{CONTOSO}/v2.0",
        "sub": "principal-1",
        "aud": "api://AzureADTokenExchange",
        "exp": datetime.now(UTC) + timedelta(hours=1),
        "idtyp": "app",
    }
    return stand.system.tokens.sign(named | claims)


def test_msal_authenticates_with_a_managed_identity_token(stand: Stand) -> None:
    trusted = FederatedCredential(f"{stand.entra}/{CONTOSO}/v2.0", "principal-1")
    stand.system.directory.change_app(CLIENT_ID, secrets=(), federated=(trusted,))
    stand.system.consents.grant_application(CLIENT_ID, CONTOSO, [SEND])

    app = stand.msal_app({"client_assertion": lambda: federated_token(stand)})

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
    stand: Stand, claims: dict[str, Any], number: int
) -> None:
    trusted = FederatedCredential(f"{stand.entra}/{CONTOSO}/v2.0", "principal-1")
    stand.system.directory.change_app(CLIENT_ID, secrets=(), federated=(trusted,))
    app = stand.msal_app({"client_assertion": lambda: federated_token(stand, **claims)})

    assert app.acquire_token_for_client([APP_SCOPE])["error_codes"] == [number]


def test_a_federated_token_signed_by_a_stranger_is_refused(stand: Stand) -> None:
    trusted = FederatedCredential(f"{stand.entra}/{CONTOSO}/v2.0", "principal-1")
    stand.system.directory.change_app(CLIENT_ID, secrets=(), federated=(trusted,))
    claims = claims_of(federated_token(stand))
    forged = jwt.encode(claims, stand.system.tokens.stranger.private, "RS256")

    refused_token = stand.msal_app({"client_assertion": lambda: forged}).acquire_token_for_client([APP_SCOPE])
    assert refused_token["error_codes"] == [700027]

    stand.system.consents.grant_application(CLIENT_ID, CONTOSO, [SEND])
    stand.system.proof.trust(str(claims["iss"]), stand.system.tokens.stranger.private.public_key())
    assert stand.msal_app({"client_assertion": lambda: forged}).acquire_token_for_client([APP_SCOPE])[
        "access_token"
    ]


# The app by itself


def test_an_app_only_token_has_roles_and_no_scp(stand: Stand) -> None:
    stand.system.consents.grant_application(CLIENT_ID, CONTOSO, [SEND])

    result = stand.msal_app().acquire_token_for_client([APP_SCOPE])

    claims = claims_of(result["access_token"])
    assert claims["roles"] == [SEND]
    assert "scp" not in claims
    assert claims["tid"] == CONTOSO
    assert "refresh_token" not in result


def test_an_app_only_token_without_consent_has_no_roles(stand: Stand) -> None:
    result = stand.msal_app().acquire_token_for_client([APP_SCOPE])

    assert "roles" not in claims_of(result["access_token"])


def test_client_credentials_require_the_default_scope_only(stand: Stand) -> None:
    named = token_request(
        stand, grant_type="client_credentials", scope="https://graph.microsoft.com/Mail.Send"
    )
    several = token_request(stand, grant_type="client_credentials", scope=f"{APP_SCOPE} openid")

    assert named.json()["error"] == "invalid_scope"
    assert several.json()["error"] == "invalid_scope"


def test_a_single_tenant_app_is_unknown_elsewhere(stand: Stand) -> None:
    answer = token_request(stand, FABRIKAM, grant_type="client_credentials", scope=APP_SCOPE)

    assert refused(answer) == (400, "unauthorized_client", 700016)


# Admin consent


def admin_answer(stand: Stand, *, accept: bool = True, account: str = ADA) -> dict[str, str]:
    stand.browser().consent(admin_consent_url(stand), account, accept=accept)
    return stand.callback.answers[-1]


def test_admin_consent_returns_true_and_no_code(stand: Stand) -> None:
    answer = admin_answer(stand)

    assert answer == {"admin_consent": "True", "tenant": CONTOSO, "scope": APP_SCOPE, "state": "state-2"}
    assert claims_of(stand.msal_app().acquire_token_for_client([APP_SCOPE])["access_token"])["roles"] == [
        SEND
    ]


def test_a_declined_admin_consent_can_return_true_too(stand: Stand) -> None:
    answer = admin_answer(stand, accept=False)

    assert answer["admin_consent"] == "True"
    assert answer["error"] == "consent_required"
    assert "AADSTS65004" in answer["error_description"]
    assert stand.system.consents.application(CLIENT_ID, CONTOSO) == []


def test_the_tenant_of_an_admin_consent_can_be_forged(stand: Stand) -> None:
    stand.system.behaviour.forged_tenant = FABRIKAM

    assert admin_answer(stand)["tenant"] == FABRIKAM


def test_admin_consent_is_for_admins_and_not_for_common(stand: Stand) -> None:
    browser = stand.browser()
    browser.open(admin_consent_url(stand))
    assert browser.choose(UMA).title == "Need admin approval"

    assert "AADSTS90002" in stand.browser().open(admin_consent_url(stand, "common")).text


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
def test_a_fault_hits_one_token_request(stand: Stand, button: str, status: int, error: str) -> None:
    token = redeem(stand, a_code(stand)).json()["refresh_token"]
    stand.system.faults.add("token", button)

    answer = refresh(stand, token)

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert refresh(stand, token).status_code == 200


def app_token(stand: Stand) -> requests.Response:
    return token_request(stand, grant_type="client_credentials", scope=APP_SCOPE)


def test_client_credentials_are_throttled_in_plain_text(stand: Stand) -> None:
    stand.system.behaviour.token_requests_a_minute = 1

    answers = [app_token(stand) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert (answers[1].text, answers[1].headers["Retry-After"]) == ("Too Many Requests", "60")
    stand.system.clock.advance(timedelta(seconds=59))
    assert app_token(stand).status_code == 429
    stand.system.clock.advance(timedelta(seconds=60))
    assert app_token(stand).status_code == 200


def test_refreshes_of_one_account_are_throttled_as_a_request_loop(stand: Stand) -> None:
    token = redeem(stand, a_code(stand)).json()["refresh_token"]
    stand.system.behaviour.token_requests_a_minute = 1

    answers = [refresh(stand, token).json() for _ in range(2)]

    assert (answers[1]["error"], answers[1]["error_codes"]) == ("invalid_grant", [50196])


def test_token_and_discovery_fail_apart(stand: Stand) -> None:
    stand.system.faults.add("discovery", Effect(503, retry_after="7"), times=0)
    configuration = f"{stand.entra}/{CONTOSO}/v2.0/.well-known/openid-configuration"

    assert redeem(stand, a_code(stand)).status_code == 200
    answer = stand.session().get(configuration, timeout=5)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")


def test_a_fault_can_be_meant_for_refreshes_of_one_mailbox(stand: Stand) -> None:
    ours = redeem(stand, a_code(stand)).json()["refresh_token"]
    theirs = redeem(stand, a_code(stand, UMA)).json()["refresh_token"]
    stand.system.faults.add("token.refresh_token", "needs MFA", mailbox=REPORTS)

    assert refresh(stand, theirs).status_code == 200
    assert refresh(stand, ours).json()["error_codes"] == [50076]


def test_a_token_request_can_be_cut_off(stand: Stand) -> None:
    stand.system.faults.add("token", "reset")

    with pytest.raises(requests.ConnectionError):
        token_request(stand, grant_type="client_credentials", scope=APP_SCOPE)


def test_a_slow_token_endpoint_outlasts_a_timeout(stand: Stand) -> None:
    stand.system.faults.add("token", Effect(delay=3.0))

    with pytest.raises(requests.ReadTimeout):
        stand.session().post(
            f"{stand.entra}/{CONTOSO}/oauth2/v2.0/token", data={"client_id": CLIENT_ID}, timeout=0.3
        )


def test_requests_are_counted_and_no_secret_is_in_the_log(stand: Stand) -> None:
    token = redeem(stand, a_code(stand)).json()["refresh_token"]

    threads = [threading.Thread(target=refresh, args=(stand, token)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert stand.system.requests.count("token.refresh_token") == 5
    assert stand.system.requests.count("token.authorization_code") == 1
    log = repr(stand.system.requests.all())
    assert CLIENT_SECRET not in log
    assert not [secret for secret in stand.system.tokens.issued if secret in log]


# Tokens for the app's own API


def api_refusal(stand: Stand, **overrides: Any) -> type[Exception] | None:
    token = stand.system.api_token(ADA, **overrides)
    keys = stand.session().get(f"{stand.entra}/{CONTOSO}/discovery/v2.0/keys", timeout=5).json()
    try:
        kid = jwt.get_unverified_header(token)["kid"]
        key = jwt.PyJWKSet.from_dict(keys)[kid].key
        jwt.decode(
            token, key, algorithms=["RS256"], audience=CLIENT_ID, issuer=f"{stand.entra}/{CONTOSO}/v2.0"
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
    stand: Stand, overrides: dict[str, Any], refusal: type[Exception] | None
) -> None:
    assert api_refusal(stand, **overrides) is refusal


def test_api_tokens_carry_the_callers_roles(stand: Stand) -> None:
    ada, uma = claims_of(stand.system.api_token(ADA)), claims_of(stand.system.api_token(UMA))

    assert (ada["roles"], ada["scp"], ada["tid"]) == (["Workspace.Admin"], "settings", CONTOSO)
    assert "roles" not in uma
    assert claims_of(stand.system.api_token(ADA, scp=None, idtyp="app")).get("scp") is None


# Control


def test_another_process_presses_the_same_buttons(stand: Stand) -> None:
    session = stand.session()
    control = f"{stand.entra}/_control"
    session.post(f"{control}/consents", json={"grant": REPORTS, "scopes": [SEND]}, timeout=5)
    session.post(f"{control}/clock", json={"advance": 3600}, timeout=5)
    session.post(
        f"{control}/faults", json={"operation": "token", "effect": {"aadsts": 50173}, "times": 2}, timeout=5
    )
    token = session.post(f"{control}/api-token", json={"address": ADA, "lifetime": 60}, timeout=5).json()

    assert stand.browser().consent(authorize_url(stand), REPORTS).title == "Back"
    assert stand.system.clock.offset == timedelta(hours=1)
    assert len(stand.system.faults.waiting()) == 1
    assert claims_of(token["access_token"])["preferred_username"] == ADA
    assert (
        session.get(f"{control}/requests", params={"operation": "authorize"}, timeout=5).json()["count"] == 1
    )
    assert session.post(f"{control}/faults", json={"operation": "token"}, timeout=5).status_code == 400


def test_another_process_changes_people_rights_and_switches(stand: Stand) -> None:
    system = stand.system
    changes: list[tuple[str, dict[str, Any]]] = [
        ("users", {"address": UMA, "message_limit": 1000, "app_roles": ["Workspace.Admin"]}),
        ("apps", {"clientId": CLIENT_ID, "redirectUris": ["https://localhost/new"]}),
        ("rights", {"grant": "send_as", "on": FINANCE, "to": UMA}),
        ("behaviour", {"latency": 0.25, "session_lifetime": 60, "withheld_scopes": [READ_WRITE]}),
        ("consents", {"grant": "contoso.com", "scopes": [SEND], "application": True}),
        ("sessions", {"address": UMA}),
    ]
    for path, body in changes:
        answer = stand.session().post(f"{stand.graph}/_control/{path}", json=body, timeout=5)
        assert answer.status_code == 200, answer.text

    assert (system.user(UMA).message_limit, system.user(UMA).app_roles) == (
        1000,
        frozenset({"Workspace.Admin"}),
    )
    assert system.directory.may("send_as", FINANCE, UMA)
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
def test_a_control_call_that_makes_no_sense_is_400(stand: Stand, path: str, body: dict[str, Any]) -> None:
    assert stand.session().post(f"{stand.entra}/_control/{path}", json=body, timeout=5).status_code == 400


def test_a_posted_answer_leaves_no_code_in_the_address(stand: Stand) -> None:
    browser = stand.browser(posts_by_itself=False)
    browser.consent(authorize_url(stand, response_mode="form_post"), REPORTS)

    assert browser.page.submits_itself
    assert browser.page.forms[0].action == stand.redirect_uri
    assert "code" not in parse_qs(urlsplit(browser.page.url).query)
