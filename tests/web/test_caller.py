from typing import Any

import pytest

from shared.errors import ForbiddenError, UnauthenticatedError
from shared.web.caller import Caller, admin_of
from tests.calls import a_request
from tests.fakes import CONTOSO, FakeCallers

CLAIMS: dict[str, Any] = {
    "tid": CONTOSO,
    "oid": "ada-object-id",
    "preferred_username": "ada@contoso.com",
    "name": "Ada Lovelace",
    "scp": "access_as_user",
    "roles": ["Reader", "Workspace.Admin"],
}


def caller(authorization: str | None, **changes: Any) -> Caller:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    headers = {} if authorization is None else {"authorization": authorization}
    return admin_of(a_request(headers=headers), FakeCallers({"good": claims}), "Workspace.Admin")


@pytest.mark.parametrize("authorization", ["Bearer good", "bearer  good "])
def test_a_workspace_admin_is_let_in(authorization: str) -> None:
    assert caller(authorization) == Caller(CONTOSO, "ada-object-id", "ada@contoso.com")


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic good", "good"])
def test_without_a_bearer_token_nobody_is(authorization: str | None) -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        caller(authorization)
    assert refused.value.code == "token_missing"


def test_a_token_that_is_not_valid_is_refused() -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        caller("Bearer bad")
    assert refused.value.code == "token_invalid"


def test_an_id_token_or_an_apps_own_token_is_refused() -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        caller("Bearer good", scp=None)
    assert refused.value.code == "token_invalid"


@pytest.mark.parametrize("roles", [None, [], ["workspace.admin"], "Workspace.Admin", {"Workspace.Admin": 1}])
def test_without_the_role_a_caller_is_refused(roles: object) -> None:
    with pytest.raises(ForbiddenError) as refused:
        caller("Bearer good", roles=roles)
    assert refused.value.code == "workspace_admin_required"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"preferred_username": None}, "Ada Lovelace"),
        ({"preferred_username": None, "name": None}, "ada-object-id"),
    ],
)
def test_a_caller_is_called_by_the_best_name_that_the_token_has(changes: dict[str, Any], name: str) -> None:
    assert caller("Bearer good", **changes).name == name
