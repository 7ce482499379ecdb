from dataclasses import replace
from typing import Any

import pytest

from shared.api.auth import authorize, verified_claims
from shared.api.openapi.document import OPERATIONS
from shared.api.openapi.operation import Operation
from shared.api.openapi.settings import READ
from shared.caller import Caller
from shared.config import AppConfig
from shared.errors import ForbiddenError, UnauthenticatedError
from tests.api_client import a_request
from tests.fakes import CONFIG, CONTOSO, FakeCallers

CLAIMS: dict[str, Any] = {
    "tid": CONTOSO,
    "oid": "ada-object-id",
    "azp": "00000000-0000-4000-8000-0000000000f1",
    "preferred_username": "ada@contoso.com",
    "name": "Ada Lovelace",
    "scp": "profile settings",
    "roles": ["Reader", "Workspace.Admin"],
}
FOR_ADMINS = [each for each in OPERATIONS if not each.application_roles]
FOR_APPLICATIONS = [each for each in OPERATIONS if each.application_roles]
APPLICATION: dict[str, Any] = {
    "scp": None,
    "idtyp": "app",
    "preferred_username": None,
    "name": None,
    "roles": ["Deliveries.Read"],
}


def caller(
    authorization: str | None, operation: Operation = READ, config: AppConfig = CONFIG, **changes: Any
) -> Caller:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    headers = {} if authorization is None else {"authorization": authorization}
    verified = verified_claims(a_request(headers=headers), FakeCallers({"good": claims}))
    return authorize(verified, operation, config)


def refusal(operation: Operation = READ, config: AppConfig = CONFIG, **changes: Any) -> str:
    with pytest.raises((ForbiddenError, UnauthenticatedError)) as refused:
        caller("Bearer good", operation, config, **changes)
    return refused.value.code


@pytest.mark.parametrize("authorization", ["Bearer good", "bearer  good "])
def test_a_workspace_admin_is_let_in(authorization: str) -> None:
    assert caller(authorization) == Caller(CONTOSO, "ada-object-id", "ada@contoso.com")


@pytest.mark.parametrize(
    ("claim", "email"), [("a.l@contoso.com", "a.l@contoso.com"), (None, ""), (["a.l@contoso.com"], "")]
)
def test_the_address_of_the_caller_is_returned_if_the_token_has_it(claim: object, email: str) -> None:
    assert caller("Bearer good", email=claim).email == email


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic good", "good"])
def test_a_call_without_a_bearer_token_is_refused(authorization: str | None) -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        caller(authorization)
    assert refused.value.code == "token_missing"


def test_a_token_that_is_not_valid_is_refused() -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        caller("Bearer bad")
    assert refused.value.code == "token_invalid"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
@pytest.mark.parametrize(
    "changes",
    [
        {"scp": None},
        {"scp": None, "roles": ["Deliveries.Read"]},
        {**APPLICATION, "idtyp": None},
        {**APPLICATION, "idtyp": "user"},
    ],
    ids=str,
)
def test_an_id_token_is_refused_by_every_operation(changes: dict[str, Any], operation: Operation) -> None:
    assert refusal(operation, **changes) == "token_invalid"


def test_an_application_may_list_and_read_deliveries_and_nothing_else() -> None:
    assert [each.name for each in FOR_APPLICATIONS] == ["list_deliveries", "get_delivery"]


@pytest.mark.parametrize("operation", FOR_APPLICATIONS, ids=lambda operation: operation.name)
def test_an_application_with_the_role_reads_the_deliveries_of_its_tenant(operation: Operation) -> None:
    assert caller("Bearer good", operation, **APPLICATION) == Caller(
        CONTOSO, "ada-object-id", "ada-object-id"
    )


@pytest.mark.parametrize("roles", [["Workspace.Admin"], ["deliveries.read"], [], "Deliveries.Read", None])
@pytest.mark.parametrize("operation", FOR_APPLICATIONS, ids=lambda operation: operation.name)
def test_an_application_without_the_role_is_refused(operation: Operation, roles: object) -> None:
    assert refusal(operation, **{**APPLICATION, "roles": roles}) == "application_role_required"


@pytest.mark.parametrize(
    "roles", [["Deliveries.Read"], ["Deliveries.Read", "Workspace.Admin"], None], ids=str
)
@pytest.mark.parametrize("operation", FOR_ADMINS, ids=lambda operation: operation.name)
def test_any_other_operation_needs_a_signed_in_admin(operation: Operation, roles: object) -> None:
    assert refusal(operation, **{**APPLICATION, "roles": roles}) == "signed_in_admin_required"


def test_the_client_list_applies_to_users_and_not_to_applications() -> None:
    found = caller("Bearer good", FOR_APPLICATIONS[0], ONE_CLIENT, **{**APPLICATION, "azp": "scheduler"})

    assert found.tenant_id == CONTOSO


def test_a_user_needs_the_admin_role_where_an_application_needs_another() -> None:
    assert refusal(FOR_APPLICATIONS[0], roles=["Deliveries.Read"]) == "workspace_admin_required"


@pytest.mark.parametrize("scp", ["", "Settings", "settings.read", "profile,settings", ["settings"], 7])
def test_a_token_without_the_required_scope_is_refused(scp: object) -> None:
    assert refusal(scp=scp) == "scope_required"


@pytest.mark.parametrize("scp", ["settings", "profile settings", "settings\topenid"])
def test_the_required_scope_is_one_word_of_scp(scp: str) -> None:
    assert caller("Bearer good", scp=scp).name == "ada@contoso.com"


def test_another_registration_may_name_its_scope_otherwise() -> None:
    config = replace(CONFIG, required_api_scope="access_as_user")

    assert refusal(config=config) == "scope_required"
    assert caller("Bearer good", config=config, scp="access_as_user").tenant_id == CONTOSO


ONE_CLIENT = replace(CONFIG, allowed_client_ids=frozenset({"00000000-0000-4000-8000-0000000000f1"}))


@pytest.mark.parametrize("azp", ["00000000-0000-4000-8000-0000000000f2", None, "", 7])
def test_a_token_of_a_client_that_is_not_listed_is_refused(azp: object) -> None:
    assert refusal(config=ONE_CLIENT, azp=azp) == "client_not_allowed"


@pytest.mark.parametrize("azp", [CLAIMS["azp"], CLAIMS["azp"].upper()])
def test_a_token_of_a_listed_client_is_accepted(azp: str) -> None:
    assert caller("Bearer good", config=ONE_CLIENT, azp=azp).tenant_id == CONTOSO


@pytest.mark.parametrize("azp", ["anything", None])
def test_where_no_client_is_listed_any_is_accepted(azp: object) -> None:
    assert caller("Bearer good", azp=azp).tenant_id == CONTOSO


@pytest.mark.parametrize("roles", [None, [], ["workspace.admin"], "Workspace.Admin", {"Workspace.Admin": 1}])
def test_without_the_role_a_caller_is_refused(roles: object) -> None:
    assert refusal(roles=roles) == "workspace_admin_required"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "ada@contoso.com"),
        ({"preferred_username": None}, "ada-object-id"),
        ({"preferred_username": None, "name": "it-support@contoso.com"}, "ada-object-id"),
    ],
)
def test_a_caller_is_named_by_sign_in_name_or_id_and_never_by_display_name(
    changes: dict[str, Any], name: str
) -> None:
    assert caller("Bearer good", **changes).name == name
