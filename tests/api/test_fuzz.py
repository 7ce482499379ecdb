"""The API responds to any request as documented, never with a 500."""

from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared import bootstrap
from shared.api.openapi.document import document
from shared.settings.tenant import ActiveProblem, RequestedSender, Status, TenantSettings
from tests.api.conftest import CLAIMS, functions_of_the_api
from tests.api.wsgi import wsgi_app
from tests.builders import some_settings
from tests.fakes import CONTOSO, NOON, FakeServices

LOST = ActiveProblem("consent_lost", NOON, {"account": "ada@contoso.com", "error": "x"}, "correlation")
STATES: dict[str, TenantSettings] = {
    "not configured": TenantSettings(CONTOSO),
    "enabled": some_settings(),
    "large": some_settings(sender=RequestedSender("ada@contoso.com", large_file_attachments=True)),
    "reconnect needed": some_settings(status=Status.RECONNECT_NEEDED, problem=LOST),
}
PROMISES = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)

schema = schemathesis.openapi.from_dict(document())


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Build the API with in-memory ports; each call of `state` resets it."""
    held: dict[str, FakeServices] = {}

    def begin(state: str) -> Any:
        ports = held["ports"] = FakeServices()
        ports.caller_tokens.tokens["ada"] = CLAIMS
        ports.settings.rows[CONTOSO] = replace(STATES[state], etag=None)
        ports.vault.secrets[f"smtp-{CONTOSO}-1"] = "tokens"
        return wsgi_app(functions_of_the_api())

    monkeypatch.setattr(bootstrap, "services", lambda: held["ports"])
    return begin


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("caller", ["ada", None])
@schema.parametrize()
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_api_conforms_to_its_openapi_document(
    case: Case[Any], app: Any, state: str, caller: str | None
) -> None:
    if caller:
        case.headers["Authorization"] = f"Bearer {caller}"

    response = case.call(app=app(state), base_url="http://mailer.contoso.com")

    if response.status_code != 404 or response.content:
        # An address that fits no route never reaches the app: the host responds, without a body.
        case.validate_response(response, checks=list(PROMISES))
