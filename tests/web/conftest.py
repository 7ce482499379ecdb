"""The endpoints as the Functions host calls them, over ports in memory."""

import json
from dataclasses import dataclass, field
from typing import Any

import azure.functions as func
import pytest

from shared import bootstrap
from tests.fakes import CONTOSO, FABRIKAM, FakeServices

CLAIMS = {
    "tid": CONTOSO,
    "oid": "ada-object-id",
    "preferred_username": "ada@contoso.com",
    "scp": "access_as_user",
    "roles": ["Workspace.Admin"],
}


@dataclass
class Api:
    """Calls functions by name with the framework's own requests."""

    ports: FakeServices
    functions: dict[str, Any] = field(repr=False)

    def call(
        self,
        name: str,
        *,
        method: str = "GET",
        body: object = None,
        caller: str | None = "ada",
        headers: dict[str, str] | None = None,
        route: dict[str, str] | None = None,
    ) -> func.HttpResponse:
        text = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {**({"Authorization": f"Bearer {caller}"} if caller else {}), **(headers or {})}
        request = func.HttpRequest(
            method,
            f"https://mailer.contoso.com/api/{name}",
            headers=sent,
            route_params=route or {},
            body=text,
        )
        answer: func.HttpResponse = self.functions[name](request)
        return answer


@pytest.fixture
def ports() -> FakeServices:
    services = FakeServices()
    services.caller_tokens.tokens.update(
        {
            "ada": CLAIMS,
            "uma": {**CLAIMS, "oid": "uma-object-id", "roles": []},
            "mallory": {**CLAIMS, "tid": FABRIKAM, "oid": "mallory-object-id"},
        }
    )
    return services


@pytest.fixture
def api(ports: FakeServices, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The app, given other services where the process would build its own."""
    from shared.consent import endpoints as consent
    from shared.settings import endpoints as settings
    from shared.web import endpoints as web

    monkeypatch.setattr(bootstrap, "services", lambda: ports)
    modules = (settings, consent, web)
    return Api(ports, {name: found for module in modules for name, found in vars(module).items()})
