"""The endpoints as the Functions host calls them, over ports in memory."""

import json
import logging
from dataclasses import dataclass, field
from typing import Any

import azure.functions as func
import pytest

from shared import bootstrap
from shared.api import routes
from shared.api.openapi.document import OPERATIONS
from tests.fakes import CONTOSO, FABRIKAM, FakeServices

CLAIMS = {
    "tid": CONTOSO,
    "oid": "ada-object-id",
    "preferred_username": "ada@contoso.com",
    "scp": "settings",
    "azp": "frontend",
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
        query: str = "",
    ) -> func.HttpResponse:
        text = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {**({"Authorization": f"Bearer {caller}"} if caller else {}), **(headers or {})}
        request = func.HttpRequest(
            method,
            f"https://mailer.contoso.com/api/{name}{'?' if query else ''}{query}",
            headers=sent,
            route_params=route or {},
            body=text,
        )
        response: func.HttpResponse = self.functions[name](request)
        if response.headers.get("Content-Type") == "application/problem+json":
            described = next(operation for operation in OPERATIONS if operation.name == name)
            code = json.loads(response.get_body())["code"]
            assert code in described.all_problems()[response.status_code], f"{name} does not document {code}"
        return response


@dataclass
class Log:
    """The app's log as an alert reads it."""

    caplog: pytest.LogCaptureFixture = field(repr=False)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The fields of every event in order, its name as `event`."""
        pairs = [text.partition(" ") for text in self.caplog.messages]
        return [{"event": name, **json.loads(fields)} for name, _, fields in pairs]

    def named(self, name: str) -> list[dict[str, Any]]:
        """The fields of one kind of event."""
        return [event for event in self.events if event["event"] == name]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    caplog.set_level(logging.INFO, "mailer")
    return Log(caplog)


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
    monkeypatch.setattr(bootstrap, "services", lambda: ports)
    return Api(ports, functions_of_the_api())


def functions_of_the_api() -> dict[str, Any]:
    """Return every HTTP function by its name."""
    return dict(vars(routes))
