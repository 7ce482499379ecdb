import json
import re

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from shared.api.openapi.document import OPERATIONS, document
from shared.api.openapi.operation import Operation
from shared.problems import catalogue
from tests.api.conftest import Api
from tests.test_function_app import HTTP


def test_the_document_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(document()).validate()


def test_every_function_of_the_api_is_described_and_no_other() -> None:
    described = {
        operation.name: (operation.method, re.sub(r"\{(\w+)\}", "{}", operation.path))
        for operation in OPERATIONS
    }
    routes = {name: (method, re.sub(r"\{[\w:]+\}", "{}", route)) for name, (method, route) in HTTP.items()}

    assert described == routes


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_problem_that_is_described_is_in_the_catalogue(operation: Operation) -> None:
    codes = {code for codes in operation.all_problems().values() for code in codes}

    assert codes <= set(catalogue())


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_operations_that_need_the_admin_role_document_it(operation: Operation) -> None:
    described = document()["paths"][f"/api/{operation.path}"][operation.method.lower()]

    assert ({"workspaceAdmin": []} in described["security"]) is operation.admin
    assert ("401" in described["responses"]) is operation.admin
    assert ("403" in described["responses"]) is operation.admin


def test_a_broken_body_is_described_by_the_same_shape_that_reads_it() -> None:
    schema = document()["components"]["schemas"]["SaveBody"]

    assert schema["required"] == ["fromEmailAddress", "largeFileAttachments"]
    assert schema["additionalProperties"] is False


def test_a_response_has_every_member() -> None:
    schema = document()["components"]["schemas"]["SettingsView"]

    assert set(schema["required"]) == set(schema["properties"])


def test_the_document_is_served_without_authentication(api: Api) -> None:
    response = api.call("get_openapi", caller=None)

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(response.get_body()) == json.loads(json.dumps(document()))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_each_operation_documents_responses_of_the_host_without_a_body(operation: Operation) -> None:
    described = document()["paths"][f"/api/{operation.path}"][operation.method.lower()]["responses"]

    for status in ("400", "404", "414", "431", "500", "503"):
        assert "From the Functions host, without a body: " in described[status]["description"]
    # Only the host responds with these, so they have no content.
    assert [status for status in ("414", "431") if "content" in described[status]] == []


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.takes_body], ids=lambda operation: operation.name
)
def test_each_operation_with_a_body_requires_content_length(operation: Operation) -> None:
    described = document()["paths"][f"/api/{operation.path}"][operation.method.lower()]

    assert "Needs a Content-Length" in described["requestBody"]["description"]
    assert "content_length_required" in described["responses"]["411"]["description"]
