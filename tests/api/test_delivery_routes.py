"""The routes of the delivery log and the test mail with in-memory ports."""

from __future__ import annotations

import json
from typing import Any

import azure.functions as func
import pytest

from shared import bootstrap
from shared.api import routes
from shared.errors import RejectedError
from shared.sending.deliver import deliver
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO, FakeServices

ADA = {
    "tid": CONTOSO,
    "oid": "ada-object-id",
    "preferred_username": "ada@contoso.com",
    "scp": "settings",
    "roles": ["Workspace.Admin"],
}
ROUTES: list[tuple[Any, str, int]] = [
    (routes.list_deliveries, "GET", 200),
    (routes.get_delivery, "GET", 200),
    (routes.retry_delivery, "POST", 202),
    (routes.send_test_mail, "POST", 202),
]


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> FakeServices:
    made = enabled_services()
    made.caller_tokens.tokens.update({"ada": ADA, "uma": {**ADA, "roles": []}})
    monkeypatch.setattr(bootstrap, "services", lambda: made)
    made.transport.fail = [RejectedError("mailbox_full", address="ada@contoso.com")]
    deliver(a_message(messageId="m-1"), "q-1", made)
    return made


def send_request(function: Any, method: str, token: str | None) -> func.HttpResponse:
    request = func.HttpRequest(
        method,
        "https://mailer.contoso.com/api/x",
        headers={"Authorization": f"Bearer {token}"} if token else {},
        route_params={"message_id": "m-1"},
        body=b"",
    )
    response: func.HttpResponse = function(request)
    return response


@pytest.mark.parametrize(("function", "method", "status"), ROUTES)
def test_an_admin_gets_a_response(services: FakeServices, function: Any, method: str, status: int) -> None:
    response = send_request(function, method, "ada")

    assert response.status_code == status
    assert json.loads(response.get_body())


@pytest.mark.parametrize(("function", "method", "status"), ROUTES)
@pytest.mark.parametrize(("token", "refusal"), [(None, 401), ("forged", 401), ("uma", 403)])
def test_a_caller_without_the_admin_role_gets_no_response(
    services: FakeServices, function: Any, method: str, status: int, token: str | None, refusal: int
) -> None:
    before = list(services.outbox.messages)
    response = send_request(function, method, token)

    assert response.status_code == refusal
    assert b"m-1" not in response.get_body()
    assert services.outbox.messages == before
