from typing import Any

import pytest

from shared.consent.grant import check_identity
from shared.errors import InvalidInputError
from shared.settings.tenant import Account
from tests.fakes import CLIENT_ID, CONTOSO, FABRIKAM, NOON

ISSUER = f"https://login.microsoftonline.com/{CONTOSO}/v2.0"
CLAIMS: dict[str, Any] = {
    "tid": CONTOSO,
    "aud": CLIENT_ID,
    "iss": ISSUER,
    "exp": int(NOON.timestamp()) + 1,
    "oid": "ada-object-id",
    "preferred_username": "ada@contoso.com",
}


def check(**changes: Any) -> Account:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return check_identity(claims, tenant_id=CONTOSO, client_id=CLIENT_ID, issuer=ISSUER, now=NOON)


def test_the_account_is_named_by_object_and_tenant() -> None:
    assert check() == Account("ada-object-id", CONTOSO, "ada@contoso.com")


@pytest.mark.parametrize(
    ("claim", "email"),
    [("a@contoso.com", "a@contoso.com"), (None, ""), (["x"], ""), ("", "")],
)
def test_the_address_is_stored_with_the_sign_in_name(claim: object, email: str) -> None:
    assert check(email=claim) == Account("ada-object-id", CONTOSO, "ada@contoso.com", email=email)


def test_a_response_without_an_id_token_is_refused() -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_identity({}, tenant_id=CONTOSO, client_id=CLIENT_ID, issuer=ISSUER, now=NOON)
    assert refused.value.code == "consent_reply_invalid"


@pytest.mark.parametrize("tenant", [FABRIKAM, None])
def test_a_token_of_another_tenant_is_refused_as_such(tenant: str | None) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check(tid=tenant)
    assert refused.value.code == "consent_wrong_tenant"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another-app"},
        {"aud": None},
        {"iss": f"https://login.microsoftonline.com/{FABRIKAM}/v2.0"},
        {"iss": "https://evil.example/v2.0"},
        {"iss": None},
        {"exp": int(NOON.timestamp())},
        {"exp": "tomorrow"},
        {"exp": None},
        {"oid": None},
        {"preferred_username": None},
    ],
    ids=str,
)
def test_an_id_token_with_wrong_audience_issuer_or_time_is_refused(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check(**changes)
    assert refused.value.code == "consent_reply_invalid"
